package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// With Config.ShardOptimizer each of several devices owns a part of the parameters (ZeRO-1: Rajbhandari et al. 2020):
// it alone has their moments. A gradient is summed for its owner, the owner updates the parameter, and all others get a
// copy. Parameters are not divided, but given out whole.

// shareOut gives every trained parameter to a device, the largest first to the one that has least; nil where all update
// all.
func (t *Trainer) shareOut(params gorgonia.Nodes) []int {
	size := t.options.size()
	if !t.config.ShardOptimizer || size == 1 {
		return nil
	}
	var order []int
	for i, p := range params {
		if t.objective.trains(p.Name()) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(op.Size(params[b].Shape()), op.Size(params[a].Shape()))
	})
	owners, held := make([]int, len(params)), make([]int, size)
	for _, i := range order {
		least := slices.Index(held, slices.Min(held))
		owners[i] = least
		held[least] += op.Size(params[i].Shape())
	}
	return owners
}

// owns reports whether this trainer's device updates a parameter.
func (t *Trainer) owns(i int) bool { return t.owners == nil || t.owners[i] == t.options.number() }

// parts are where this process's devices hold a slot of every trained parameter.
func (t *Trainer) parts(slot Slot) []device.Parts {
	var list []device.Parts
	for i, a := range t.state.arrays {
		if a.fixed {
			continue
		}
		p := device.Parts{N: op.Size(a.shape)}
		if t.owners != nil {
			p.Owner = t.owners[i]
		}
		for _, each := range t.trainers() {
			p.At = append(p.At, each.state.arrays[i].slots[slot].Ptr())
		}
		list = append(list, p)
	}
	return list
}

// spread gives all devices what the owners have in a slot.
func (t *Trainer) spread(slot Slot) error {
	return errors.Join(t.options.Group.Spread(t.parts(slot)), t.options.Group.Join())
}

// gradientNorm is the norm of all gradients, whoever has them.
func (t *Trainer) gradientNorm(ctx context.Context) (float64, error) {
	if t.owners == nil {
		return t.ownNorm(ctx)
	}
	o := t.newOutcome()
	for _, each := range t.trainers() {
		norm, err := each.ownNorm(ctx)
		if err != nil {
			return 0, err
		}
		o.seconds()[each.options.number()] = float32(norm)
	}
	if err := t.exchange(o); err != nil {
		return 0, err
	}
	squares := 0.0
	for _, norm := range o.seconds() {
		squares += float64(norm) * float64(norm)
	}
	return math.Sqrt(squares), nil
}

// ownNorm is the norm of the gradients that this device has.
func (t *Trainer) ownNorm(ctx context.Context) (float64, error) {
	out, err := t.norm.Run(ctx, nil)
	if err != nil {
		return 0, err
	}
	return float64(out[0].Float32s()[0]), nil
}

// collect brings all moments of a slot together in the memory of the gradients of every device, which must not be
// needed any more. All processes must call it.
func (t *Trainer) collect(slot Slot) error {
	t.uncollected = slices.DeleteFunc(t.uncollected, func(s Slot) bool { return s == slot })
	for _, each := range t.trainers() {
		for _, a := range each.state.arrays {
			moment, ok := a.slots[slot]
			if !ok {
				continue
			}
			values := make([]float32, op.Size(a.shape))
			if err := errors.Join(moment.Read(values), a.slots[Gradients].Write(values)); err != nil {
				return fmt.Errorf("%s: %s: %w", a.name, slot, err)
			}
		}
	}
	return t.spread(Gradients)
}

// toCollect begins a checkpoint, for which all processes collect the moments in this order: the one that writes when it
// comes to them, and whether it can write or not.
func (t *Trainer) toCollect() {
	if t.owners != nil {
		t.Discard()
		t.uncollected = []Slot{ExpAvg, ExpAvgSq}
	}
}

func (t *Trainer) collectRest() error {
	for len(t.uncollected) > 0 {
		if err := t.collect(t.uncollected[0]); err != nil {
			return err
		}
	}
	return nil
}

// average is the program of the moving average of parameters that other devices update.
type average struct {
	*vm.Program
	weight *gorgonia.Node
}

func (t *Trainer) compileAverage() error {
	s := op.NewScope("average")
	a := &average{weight: s.Input("weight", 1)}
	trained := t.state.trained()
	var params, averages, outputs gorgonia.Nodes
	for _, each := range trained {
		p := s.Sub(string(Parameters)).Input(each.name, each.shape...)
		mean := s.Sub(string(Averages)).Input(each.name, each.shape...)
		params, averages = append(params, p), append(averages, mean)
		outputs = append(outputs, op.MovingAverage{}.Apply(s, mean, p, a.weight))
	}
	err := errors.Join(s.Err(), bind(params, trained, Parameters), bind(averages, trained, Averages))
	if err != nil {
		return err
	}
	a.Program, err = vm.Compile(outputs, vm.Options{
		Device: t.options.Device, Vary: params, MemoryLimit: t.limit(), Profile: t.options.Profile,
	})
	t.average = a
	return err
}
