package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vm"
)

// microStep is the program of a micro-step for examples of one size.
type microStep struct {
	*vm.Program
	loss    *lossGraph
	keep    *gorgonia.Node
	outputs gorgonia.Nodes // the graph's values, the sums of gradients
	flop    int64
}

// stepFor returns the program for a size, compiled when first needed.
func (t *Trainer) stepFor(z size) (*microStep, error) {
	if m, ok := t.micro[z]; ok {
		return m, nil
	}
	l, err := t.build(z, t.share(), Parameters)
	if err != nil {
		return nil, err
	}
	s := l.scope
	var params gorgonia.Nodes
	for i, p := range l.params() {
		if !t.state.arrays[i].fixed {
			params = append(params, p)
		}
	}
	grads, err := graph.Gradients(l.values[0], params...)
	if err != nil {
		return nil, err
	}
	m := &microStep{loss: l, keep: s.Input("keep", 1), outputs: slices.Clone(l.values)}
	var sums gorgonia.Nodes
	for i, p := range params {
		sum := s.Sub("gradient").Input(p.Name(), p.Shape()...)
		sums = append(sums, sum)
		m.outputs = append(m.outputs, op.Accumulate{}.Apply(s, sum, grads[i], m.keep))
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if err := bind(sums, t.state.trained(), Gradients); err != nil {
		return nil, err
	}
	if m.Program, err = t.compile(l.params(), m.outputs, t.milestones(m.outputs[len(l.values):]), false); err != nil {
		return nil, err
	}
	for _, s := range m.Report().Steps {
		m.flop += s.FLOP
	}
	t.micro[z] = m
	return m, nil
}

// share is the weight of a micro-step's loss in its optimisation step.
func (t *Trainer) share() float64 { return 1 / float64(t.config.Accumulate) }

// build makes the graph of the network and its loss, bound to the parameters or their average.
func (t *Trainer) build(z size, share float64, slot Slot) (*lossGraph, error) {
	l, err := t.objective.lossGraph(z, share)
	if err != nil {
		return nil, err
	}
	return l, t.state.bind(l.params(), slot)
}

// Draw draws the random numbers of an example's micro-step.
func (t *Trainer) Draw(g *rng.Torch, e Example) (Draws, error) { return t.objective.draw(g, e) }

// prepare returns the program for an example, and its feeds.
func (t *Trainer) prepare(
	ctx context.Context, e Example, d Draws, program func(size) (*microStep, error),
) (*microStep, vm.Feeds, error) {
	z, err := t.objective.size(e, d)
	if err != nil {
		return nil, nil, err
	}
	m, err := program(z)
	if err != nil {
		return nil, nil, err
	}
	feeds, err := m.loss.feed(ctx, e, d)
	return m, feeds, err
}

// Accumulate adds 1/Config.Accumulate of an example's gradients to those since the last Update, and returns the
// example's loss. After an error the sum is undefined: Discard it.
func (t *Trainer) Accumulate(ctx context.Context, e Example, d Draws) (loss float64, err error) {
	values, err := t.accumulate(ctx, e, d, nil)
	if err != nil {
		return 0, err
	}
	return float64(values[0]) / t.share(), nil
}

// accumulate is Accumulate, returning all values of the loss graph as they are. reached, if not nil, is called for each
// bucket of gradients.
func (t *Trainer) accumulate(ctx context.Context, e Example, d Draws, reached func(int) error) ([]float32, error) {
	m, feeds, err := t.prepare(ctx, e, d, t.stepFor)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	feeds.Set(m.keep, []float32{float32(min(t.pending, 1))})
	out, err := m.RunPast(ctx, feeds, reached)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	t.pending++
	t.flop += m.flop
	values := make([]float32, len(m.loss.values))
	for i := range values {
		values[i] = out[i].Float32s()[0]
	}
	return values, nil
}

// Trace runs an example again, checking every value, and returns an error that names the first that is not finite and
// its inputs; nil if all are. It overwrites the gradients since the last Update.
func (t *Trainer) Trace(ctx context.Context, e Example, d Draws) (err error) {
	m, feeds, err := t.prepare(ctx, e, d, t.stepFor)
	if err != nil {
		return err
	}
	feeds.Set(m.keep, []float32{0})
	p, err := t.compile(m.loss.params(), m.outputs, nil, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	_, err = p.Run(ctx, feeds)
	return err
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
