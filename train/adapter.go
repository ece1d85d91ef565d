package train

import (
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/unet"
)

// With Config.Adapter the U-Net's graph has low-rank additions (graph/nn), and these alone are trained: the weights
// have neither gradients nor moments nor an average, and checkpoints don't hold them.

// lowRank says which layers of a U-Net have additions.
func (a Adapter) lowRank(network unet.Config) (op.LowRank, error) {
	if !a.lora() {
		return op.LowRank{}, nil
	}
	n, err := unet.Build(network, unet.Size{Batch: 1, Height: 1, Width: 1, Tokens: 1})
	if err != nil {
		return op.LowRank{}, err
	}
	l := op.LowRank{Rank: a.Rank, Alpha: a.Alpha}
	if l.Alpha == 0 {
		l.Alpha = float64(a.Rank)
	}
	if l.Layers, err = lora.Layers(n.Scope.Params(), a.Layers, a.Rank); err != nil {
		err = fmt.Errorf("adapter: %w", err)
	}
	return l, err
}

// LowRank says which layers of the network have additions that are trained.
func (t *Trainer) LowRank() op.LowRank {
	if d, ok := t.objective.(*diffusion); ok {
		return d.network.LowRank
	}
	return op.LowRank{}
}

// base are the parameters that the run takes from the network to begin with.
func (t *Trainer) base() []*array {
	if !t.config.Adapter.lora() {
		return t.state.arrays
	}
	return slices.DeleteFunc(slices.Clone(t.state.arrays), func(a *array) bool { return !a.fixed })
}

// beginAdapter draws the initial values of an adapter, if one is trained, from a generator of its own.
func (t *Trainer) beginAdapter(params gorgonia.Nodes) error {
	if !t.config.Adapter.lora() {
		return nil
	}
	g := rng.NewTorch(t.config.Seed + 2) // the noise and the tasks have the ones before
	for i, p := range params {
		a := t.state.arrays[i]
		if a.fixed {
			continue
		}
		values, err := lora.Initialise(p, g)
		if err == nil {
			err = a.slots[Parameters].Write(values)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}
