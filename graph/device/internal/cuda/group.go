//go:build gpu

package cuda

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nccl"
)

// Group is GPUs of one machine that sum their tensors, by NCCL.
type Group struct {
	members []*Device
	nccl    *nccl.Group
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
	return &Group{members, joined}, nil
}

// Sum queues the sums after the GPUs' other work.
func (g *Group) Sum(tensors []device.Parts) error {
	n := len(g.members)
	if len(tensors) == 0 {
		return nil
	}
	addresses, sizes := make([]device.Pointer, 0, n*len(tensors)), make([]int, len(tensors))
	for i, t := range tensors {
		if len(t.At) != n {
			return fmt.Errorf("cuda: sum: %d addresses for %d GPUs", len(t.At), n)
		}
		addresses = append(addresses, t.At...)
		sizes[i] = t.N
	}
	for _, d := range g.members {
		d.ops.Order.Lock()
		defer d.ops.Order.Unlock()
	}
	return g.nccl.Sum(addresses, sizes)
}

func (g *Group) Close() error { return g.nccl.Close() }
