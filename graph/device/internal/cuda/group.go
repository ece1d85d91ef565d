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
	members    []*Device // of this process
	nccl       *nccl.Group
	rank, size int
}

var _ device.Group = (*Group)(nil)

// NewGroup joins GPUs. They stay the caller's, and must outlive the group.
func NewGroup(members []*Device) (*Group, error) {
	if len(members) == 0 {
		return nil, errors.New("cuda: a group of no GPUs")
	}
	var ordinals []int
	var streams []*driver.Stream
	for _, d := range members {
		ordinals, streams = append(ordinals, d.ordinal), append(streams, d.stream)
	}
	joined, err := nccl.Join(ordinals, streams, members[0].version)
	if err != nil {
		return nil, err
	}
	return &Group{members, joined, 0, len(members)}, nil
}

// Join joins a GPU of each of size processes, of which this one has number rank. It returns when all have called it.
// share returns in all of them what the first one passes. The GPU stays the caller's, and must outlive the group.
func Join(d *Device, rank, size int, share func([]byte) ([]byte, error)) (*Group, error) {
	joined, err := nccl.JoinRanks(d.stream, d.version, rank, size, share)
	if err != nil {
		return nil, err
	}
	return &Group{[]*Device{d}, joined, rank, size}, nil
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
	for _, d := range g.members {
		d.ops.Order.Lock()
		defer d.ops.Order.Unlock()
	}
	return g.nccl.Move(how, addresses, sizes, owners)
}

func (g *Group) Close() error { return g.nccl.Close() }
