//go:build gpu

package cuda

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nccl"
)

// Group is GPUs that sum their tensors, by NCCL: several of this process, or one of each of several processes.
type Group struct {
	members    []member // of this process
	nccl       *nccl.Group
	rank, size int
}

// member is a GPU with a second stream, in which NCCL works beside its own.
type member struct {
	*Device
	beside       *driver.Stream
	asked, moved driver.Event // in its own stream, and in the second one
}

var _ device.Group = (*Group)(nil)

// NewGroup joins GPUs. They stay the caller's, and must outlive the group.
func NewGroup(gpus []*Device) (*Group, error) {
	if len(gpus) == 0 {
		return nil, errors.New("cuda: a group of no GPUs")
	}
	return newGroup(gpus, 0, len(gpus), func(streams []*driver.Stream) (*nccl.Group, error) {
		var ordinals []int
		for _, d := range gpus {
			ordinals = append(ordinals, d.ordinal)
		}
		return nccl.Join(ordinals, streams, gpus[0].version)
	})
}

// Join joins a GPU of each of size processes, of which this one has number rank. It returns when all have called it.
// share returns in all of them what the first one passes. The GPU stays the caller's, and must outlive the group.
func Join(d *Device, rank, size int, share func([]byte) ([]byte, error)) (*Group, error) {
	return newGroup([]*Device{d}, rank, size, func(streams []*driver.Stream) (*nccl.Group, error) {
		return nccl.JoinRanks(streams[0], d.version, rank, size, share)
	})
}

func newGroup(
	gpus []*Device, rank, size int, join func(streams []*driver.Stream) (*nccl.Group, error),
) (_ *Group, err error) {
	g := &Group{rank: rank, size: size}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	var streams []*driver.Stream
	for _, d := range gpus {
		gpu, err := driver.Get(d.ordinal)
		if err != nil {
			return nil, err
		}
		m := member{Device: d}
		if m.beside, err = gpu.NewStream(); err != nil {
			return nil, err
		}
		err = m.beside.Within(func() (err error) {
			if m.asked, err = driver.NewEvent(false); err != nil {
				return err
			}
			m.moved, err = driver.NewEvent(false)
			return err
		})
		if err != nil {
			return nil, errors.Join(err, m.beside.Close())
		}
		g.members, streams = append(g.members, m), append(streams, m.beside)
	}
	g.nccl, err = join(streams)
	return g, err
}

func (g *Group) Size() int { return g.size }
func (g *Group) Rank() int { return g.rank }

// Sum queues the sums after the GPUs' other work.
func (g *Group) Sum(tensors []device.Parts) error    { return g.move(nccl.Sum, tensors) }
func (g *Group) Reduce(tensors []device.Parts) error { return g.move(nccl.Reduce, tensors) }
func (g *Group) Spread(tensors []device.Parts) error { return g.move(nccl.Spread, tensors) }

func (g *Group) move(how nccl.How, tensors []device.Parts) error {
	n := len(g.members)
	if len(tensors) == 0 {
		return nil
	}
	addresses := make([]device.Pointer, 0, n*len(tensors))
	sizes, owners := make([]int, len(tensors)), make([]int, len(tensors))
	for i, t := range tensors {
		if len(t.At) != n {
			return fmt.Errorf("cuda: sum: %d addresses for %d GPUs of this process", len(t.At), n)
		}
		addresses = append(addresses, t.At...)
		sizes[i], owners[i] = t.N, t.Owner
	}
	for _, m := range g.members {
		m.ops.Order.Lock()
		defer m.ops.Order.Unlock()
		if err := m.after(m.stream, m.asked, m.beside); err != nil {
			return fmt.Errorf("%s: %w", m.Name(), err)
		}
	}
	return g.nccl.Move(how, addresses, sizes, owners)
}

// Join makes the GPUs' other work wait.
func (g *Group) Join() error {
	for _, m := range g.members {
		m.ops.Order.Lock()
		defer m.ops.Order.Unlock()
		if err := m.after(m.beside, m.moved, m.stream); err != nil {
			return fmt.Errorf("%s: %w", m.Name(), err)
		}
	}
	return nil
}

// after makes one stream's work from now on wait for the other's so far.
func (m member) after(first *driver.Stream, e driver.Event, then *driver.Stream) error {
	return first.Within(func() error { return errors.Join(e.Record(first), e.Before(then)) })
}

func (g *Group) Close() error {
	var errs []error
	for _, m := range g.members {
		errs = append(errs, driver.IgnoreIfLost(m.beside.Within(m.beside.Synchronize)))
	}
	if g.nccl != nil {
		errs = append(errs, g.nccl.Close())
	}
	for _, m := range g.members {
		err := m.beside.Within(func() error { return errors.Join(m.asked.Destroy(), m.moved.Destroy()) })
		errs = append(errs, driver.IgnoreIfLost(err), driver.IgnoreIfLost(m.beside.Close()))
	}
	g.members = nil
	return errors.Join(errs...)
}
