package train

import (
	"context"
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// update is the program of an optimisation step.
type update struct {
	*vm.Program
	hyper, scale *gorgonia.Node
	weight       *gorgonia.Node // 1 − decay of the moving average; nil without one
}

func (t *Trainer) compileUpdate() error {
	s := op.NewScope("update")
	adamw := graph.NewAdamW(s)
	adamw.Scale = s.Input("scale", 1)
	u := &update{hyper: adamw.Hyper, scale: adamw.Scale}
	leaves := map[Slot]gorgonia.Nodes{}
	slots := []Slot{Parameters, Gradients}
	trained := t.state.owned()
	if len(trained) == 0 {
		return fmt.Errorf("shard-optimizer: %d devices share %d parameters: want no more devices", t.options.size(),
			len(t.state.trained()))
	}
	together := t.averages() && t.owners == nil
	if together {
		u.weight = s.Input("weight", 1)
		slots = append(slots, Averages)
	}
	for _, slot := range slots {
		for _, a := range trained {
			leaves[slot] = append(leaves[slot], s.Sub(string(slot)).Input(a.name, a.shape...))
		}
		if err := s.Err(); err != nil {
			return err
		}
		if err := bind(leaves[slot], trained, slot); err != nil {
			return err
		}
	}
	sums := leaves[Gradients]
	var outputs gorgonia.Nodes
	for i, p := range leaves[Parameters] {
		p = adamw.Update(p, sums[i])
		outputs = append(outputs, p)
		if together {
			outputs = append(outputs, op.MovingAverage{}.Apply(s, leaves[Averages][i], p, u.weight))
		}
	}
	norm := op.GlobalNorm{}.Apply(s, sums...)
	if err := s.Err(); err != nil {
		return err
	}
	err := errors.Join(bind(adamw.ExpAvg, trained, ExpAvg), bind(adamw.ExpAvgSq, trained, ExpAvgSq))
	if err != nil {
		return err
	}
	o := vm.Options{Device: t.options.Device, Vary: sums, MemoryLimit: t.limit(), Profile: t.options.Profile}
	if t.norm, err = vm.Compile(gorgonia.Nodes{norm}, o); err != nil {
		return err
	}
	u.Program, err = vm.Compile(outputs, o)
	t.update = u
	if err == nil && t.averages() && !together {
		err = t.compileAverage()
	}
	return err
}

// Updated says what an optimisation step did.
type Updated struct {
	Step         int     // counted from 1
	GradientNorm float64 // before clipping
	LearningRate float64 // of this step
	EMADecay     float64 // 0 without a moving average
}

// ErrNotFinite is the error of a step whose loss or gradients are not finite. Parameters are unchanged.
var ErrNotFinite = vm.ErrNotFinite

// Update takes one optimisation step with the gradients since the last Update. It is not interrupted.
func (t *Trainer) Update(ctx context.Context) (Updated, error) {
	u := Updated{Step: t.updates + 1, LearningRate: t.config.LearningRate.At(t.updates, t.config.MaxSteps)}
	if t.micros() == 0 && !t.shared() {
		return u, errors.New("training: an update without gradients")
	}
	ctx = context.WithoutCancel(ctx)
	err := t.gather()
	t.Discard()
	if err != nil {
		return u, fmt.Errorf("training: %w", err)
	}
	if u.GradientNorm, err = t.gradientNorm(ctx); err != nil {
		return u, fmt.Errorf("training: %w", err)
	}
	if !isFinite(u.GradientNorm) {
		return u, fmt.Errorf("training: step %d: the gradients' norm is %g: %w", u.Step, u.GradientNorm, ErrNotFinite)
	}
	if t.config.EMA {
		u.EMADecay = EMADecay(t.config.EMADecay, u.Step)
	}
	if err := t.applyAll(ctx, u); err != nil {
		t.damaged = true
		return u, fmt.Errorf("training: %w", err)
	}
	t.updates++
	return u, nil
}

// applyAll changes the parameters of all devices, and the moving average.
func (t *Trainer) applyAll(ctx context.Context, u Updated) error {
	if err := t.parallel(func(_ int, each *Trainer) error { return each.apply(ctx, u) }); err != nil || t.owners == nil {
		return err
	}
	if err := t.spread(Parameters); err != nil || t.average == nil {
		return err
	}
	_, err := t.average.Run(ctx, vm.Feeds{}.Set(t.average.weight, []float32{float32(1 - u.EMADecay)}))
	return err
}

// apply changes the parameters that one device updates.
func (t *Trainer) apply(ctx context.Context, u Updated) error {
	scale := float32(1)
	if t.config.MaxGradNorm > 0 {
		scale = op.ClipScale{Max: t.config.MaxGradNorm}.Factor(float32(u.GradientNorm))
	}
	hyper := op.AdamWConfig(t.config.AdamW).Hyper(u.LearningRate, u.Step)
	feeds := vm.Feeds{t.update.hyper: hyper}.Set(t.update.scale, []float32{scale})
	if t.update.weight != nil {
		feeds.Set(t.update.weight, []float32{float32(1 - u.EMADecay)})
	}
	_, err := t.update.Run(ctx, feeds)
	return err
}
