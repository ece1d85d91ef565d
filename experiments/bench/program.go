package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/hostinfo"
)

// program is a graph to be timed.
type program struct {
	*op.Scope
	name    string
	batch   int
	count   int // of such layers in a network, 0 for what is no layer
	outputs gorgonia.Nodes
	updates bool // it changes its parameters
	vary    bool // something else changes them between runs, so nothing can be prepared
}

// layerBudget is the time for which runs of a layer repeat.
const layerBudget = 600 * time.Millisecond

// time gives the parameters weights, compiles and runs.
func (p program) time(ctx context.Context, o Options) (r Result, err error) {
	release, err := p.bind(o.Device)
	defer func() { err = errors.Join(err, release()) }()
	if err != nil {
		return r, err
	}
	c := vm.Options{Device: o.Device, Precision: o.Precision, LowMemory: o.LowMemory, Recompute: true}
	// Of a layer the time in kernels counts alone: only a network's results are converted for the caller.
	layer, budget := p.count > 0, time.Duration(0)
	if layer {
		budget = layerBudget
	}
	c.Profile = layer || o.Profile != nil
	if p.vary {
		c.Vary = p.Params()
	}
	begin := time.Now()
	compiled, err := vm.Compile(p.outputs, c)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, compiled.Close()) }()
	r.Compile = time.Since(begin).Seconds()
	if o.Dump != nil {
		if err := compiled.Dump(o.Dump); err != nil {
			return r, err
		}
	}
	feeds := inputs(compiled)
	all, err := repeat(o.Runs, budget, func() (time.Duration, error) {
		if c.Profile { // the report is of the last run
			compiled.ResetTimes()
		}
		begin := time.Now()
		_, err := compiled.Run(ctx, feeds)
		if layer {
			return compiled.Report().Time, err
		}
		return time.Since(begin), err
	})
	if err != nil {
		return r, err
	}
	report := compiled.Report()
	if o.Profile != nil {
		o.Profile(report)
	}
	r.Seconds, r.Median = slices.Min(all), median(all[min(1, len(all)-1):])
	for _, step := range report.Steps {
		r.GFLOPS += float64(step.FLOP) / r.Seconds / 1e9
		if layer && step.Algorithm != "" {
			r.Algorithm = step.Algorithm
		}
	}
	r.Name, r.Count, r.Batch, r.Training = p.name, p.count, p.batch, p.updates || p.vary
	r.Arena, r.Packed, r.PeakRSS = report.Memory.Arena, report.Memory.Packed, hostinfo.PeakResident()
	return r, nil
}

// repeat returns the seconds of runs of f: at least so many, and as long as the budget lasts.
func repeat(runs int, budget time.Duration, f func() (time.Duration, error)) (all []float64, err error) {
	for begin := time.Now(); len(all) < runs || time.Since(begin) < budget; {
		took, err := f()
		if err != nil {
			return nil, err
		}
		all = append(all, took.Seconds())
	}
	return all, nil
}

func median(all []float64) float64 { return slices.Sorted(slices.Values(all))[len(all)/2] }

// bind gives the parameters weights by formula; AdamW's moments begin at zero. A program can update only what is in
// the device's memory. release, which is never nil, frees the weights.
func (p program) bind(d device.Device) (release func() error, err error) {
	var held []io.Closer
	release = func() (err error) {
		for _, c := range held {
			err = errors.Join(err, c.Close())
		}
		return err
	}
	m, err := formula.Weights{Gain: 1}.Bind(p.Params())
	if err != nil {
		return release, err
	}
	held = append(held, m)
	for _, n := range p.Params() {
		x := n.Value().Data().([]float32)
		if strings.HasPrefix(n.Name(), "adamw.") {
			clear(x)
		}
		if !p.updates || d.HostMemory() {
			continue
		}
		v, err := device.NewValue(d, n.Shape()...)
		if err == nil {
			held = append(held, v)
			err = errors.Join(v.Write(x), gorgonia.Let(n, v))
		}
		if err != nil {
			return release, fmt.Errorf("%s: %w", n.Name(), err)
		}
	}
	return release, nil
}

// inputs makes values to feed to a program.
func inputs(p *vm.Program) vm.Feeds {
	feeds := vm.Feeds{}
	for _, n := range p.Inputs() {
		size := op.Size(n.Shape())
		switch {
		case n.Dtype() == tensor.Int32:
			feeds[n] = tensor.New(tensor.WithShape(n.Shape()...), tensor.Of(tensor.Int32))
		case n.Name() == "timesteps":
			feeds.Set(n, slices.Repeat([]float32{500}, size))
		case n.Name() == "hyper":
			feeds[n] = op.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2}.Hyper(1e-6, 1)
		default:
			feeds.Set(n, formula.Tensor(0, "input/"+n.Name(), size, 1.7, 0))
		}
	}
	return feeds
}
