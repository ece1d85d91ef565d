package catalog

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
)

// Group joins devices that sum their tensors. GPUs do that by themselves; others through the process's
// memory. The devices stay the caller's, and must outlive the group.
func Group(members []device.Device) (device.Group, error) {
	if len(members) < 2 {
		return nil, fmt.Errorf("a group of %d devices: want two or more", len(members))
	}
	for i, d := range members {
		for _, other := range members[:i] {
			if d == other {
				return nil, fmt.Errorf("a group has %s twice", d.Name())
			}
		}
	}
	if g, err := groupOfGPUs(members); g != nil || err != nil {
		return g, err
	}
	return &group{members: members}, nil
}

// group adds in the order of its members.
type group struct {
	members   []device.Device
	sum, part []float32
}

// Sum waits for the devices.
func (g *group) Sum(tensors []device.Parts) error { return g.each(tensors, g.add) }

// Reduce is Sum: all are in one process.
func (g *group) Reduce(tensors []device.Parts) error { return g.Sum(tensors) }
func (g *group) Spread(tensors []device.Parts) error { return g.each(tensors, g.spread) }

// Join has nothing to wait for.
func (g *group) Join() error { return nil }

func (g *group) each(tensors []device.Parts, f func(device.Parts) error) error {
	for _, d := range g.members {
		if err := d.Synchronize(); err != nil {
			return err
		}
	}
	for _, t := range tensors {
		if len(t.At) != len(g.members) {
			return fmt.Errorf("sum: %d addresses for %d devices", len(t.At), len(g.members))
		}
		if err := f(t); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) spread(t device.Parts) error {
	values := make([]float32, t.N)
	if err := g.members[t.Owner].Download(device.Bytes(values), t.At[t.Owner]); err != nil {
		return err
	}
	for i, d := range g.members {
		if i == t.Owner {
			continue
		}
		if err := d.Upload(t.At[i], device.Bytes(values)); err != nil {
			return err
		}
	}
	return nil
}

// chunk is the number of float32 that are added at a time.
const chunk = 1 << 20

func (g *group) add(t device.Parts) error {
	if g.sum == nil {
		g.sum, g.part = make([]float32, chunk), make([]float32, chunk)
	}
	for first := 0; first < t.N; first += chunk {
		n := min(chunk, t.N-first)
		sum, part := g.sum[:n], g.part[:n]
		for i, d := range g.members {
			at := unsafe.Add(t.At[i], 4*first)
			if i == 0 {
				if err := d.Download(device.Bytes(sum), at); err != nil {
					return err
				}
				continue
			}
			if err := d.Download(device.Bytes(part), at); err != nil {
				return err
			}
			for j, x := range part {
				sum[j] += x
			}
		}
		var errs []error
		for i, d := range g.members {
			errs = append(errs, d.Upload(unsafe.Add(t.At[i], 4*first), device.Bytes(sum)))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	return nil
}

func (g *group) Size() int    { return len(g.members) }
func (g *group) Rank() int    { return 0 }
func (g *group) Close() error { return nil }
