// Package modelbench times the networks at full size, with weights by formula, so that no model is needed: what a step costs on this
// machine, how near that is to the machine's peak, and how much memory it takes.
package modelbench

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

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/hostinfo"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights/formula"
)

// Result is what was measured of one network.
type Result struct {
	Name    string  `json:"name"`
	Batch   int     `json:"batch"`
	Seconds float64 `json:"seconds"`                  // the least of the runs
	Median  float64 `json:"median_seconds,omitempty"` // of the runs but the first
	Compile float64 `json:"compile_seconds"`
	GFLOPS  float64 `json:"gflops"`
	// Share is GFLOPS over the rate of a product of large matrices; Winograd's convolutions can exceed 1.
	Share    float64 `json:"share_of_gemm_peak"`
	Arena    int64   `json:"arena_bytes"`
	Kernels  int64   `json:"kernels_bytes"` // rearranged weights
	PeakRSS  int64   `json:"peak_resident_bytes"`
	Training bool    `json:"training,omitempty"`
	// Idle is the share of Seconds that a GPU waited; 0 of other devices and where it was not measured.
	Idle float64 `json:"idle,omitempty"`
}

// Options say what is measured.
type Options struct {
	Device    device.Device
	Precision vm.Precision
	LowMemory bool
	Training  bool // also a training step; takes 14 GB
	Runs      int  // 0 means 2
	Batch     int  // images, but for the training step; 0 means 1
	Only      []string
	Profile   func(vm.Report) // gets each network's steps, timed one after the other; nil for none
	Dump      io.Writer       // gets each network's program as text, after each pass of the compiler; nil for none
}

// network is a graph to be timed.
type network struct {
	name     string
	training bool
	build    func() (*op.Scope, *gorgonia.Node, error)
}

// networks are Stable Diffusion 1.5's and Phikon, for images of 512 pixels.
func networks(batch int) []network {
	return []network{
		{"unet", false, func() (*op.Scope, *gorgonia.Node, error) {
			n, err := unet.Build(unet.SD15(), unet.Size{Batch: batch, Height: 64, Width: 64, Tokens: 197})
			if err != nil {
				return nil, nil, err
			}
			return n.Scope, n.Output, nil
		}},
		{"vae-encode", false, func() (*op.Scope, *gorgonia.Node, error) {
			n, err := vae.NewEncoder(vae.SD15(), vae.Size{Batch: batch, Height: 512, Width: 512})
			if err != nil {
				return nil, nil, err
			}
			return n.Scope, n.Moments, nil
		}},
		{"vae-decode", false, func() (*op.Scope, *gorgonia.Node, error) {
			n, err := vae.NewDecoder(vae.SD15(), vae.Size{Batch: batch, Height: 64, Width: 64})
			if err != nil {
				return nil, nil, err
			}
			return n.Scope, n.Image, nil
		}},
		{"vit", false, func() (*op.Scope, *gorgonia.Node, error) {
			n, err := vit.Build(vit.Phikon(), batch)
			if err != nil {
				return nil, nil, err
			}
			return n.Scope, n.LastHiddenState, nil
		}},
		{"text", false, func() (*op.Scope, *gorgonia.Node, error) {
			n, err := clip.Build(clip.SD15(), batch, 77)
			if err != nil {
				return nil, nil, err
			}
			return n.Scope, n.LastHiddenState, nil
		}},
		{"unet-train-32", true, func() (*op.Scope, *gorgonia.Node, error) {
			n, err := unet.Build(unet.SD15(), unet.Size{Batch: 1, Height: 32, Width: 32, Tokens: 197})
			if err != nil {
				return nil, nil, err
			}
			return n.Scope, n.Output, nil
		}},
	}
}

// Names lists what can be measured.
func Names() []string {
	var list []string
	for _, n := range networks(1) {
		list = append(list, n.name)
	}
	return list
}

// Run measures one network after the other and tells each result. The training step, forward and backward with gradient
// checkpointing, clipping and AdamW at 32×32 latents, runs only if asked for.
func Run(ctx context.Context, o Options, tell func(Result)) error {
	for _, name := range o.Only {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("no network %q to measure: want %s", name, strings.Join(Names(), ", "))
		}
	}
	peak, err := Peak(ctx, o)
	if err != nil {
		return err
	}
	batch := max(1, o.Batch)
	for _, n := range networks(batch) {
		if len(o.Only) > 0 && !slices.Contains(o.Only, n.name) || n.training && !o.Training && len(o.Only) == 0 {
			continue
		}
		r, err := measure(ctx, o, n)
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		r.Share, r.Batch = r.GFLOPS/peak, batch
		if n.training {
			r.Batch = 1
		}
		tell(r)
	}
	return nil
}

// Peak is the rate of a product of large matrices on the device, in GFLOP/s: the best of a few. On a device of its own memory the matrices are
// parameters and several products follow each other, so that what is copied to it and from it doesn't count.
func Peak(ctx context.Context, o Options) (float64, error) {
	if !o.Device.HostMemory() {
		const side, products = 8192, 16
		s := op.NewScope("peak")
		x, w := s.Param("x", side, side), s.Param("weight", side, side)
		out := x
		for range products {
			out = op.Linear{}.Apply(s, out, w, nil, nil)
		}
		r, err := run(ctx, o, s, gorgonia.Nodes{op.MSE{}.Apply(s, out, x, nil)}, 4)
		return r.GFLOPS, err
	}
	best := 0.0
	for _, z := range [][3]int{{2048, 2048, 2048}, {4096, 1280, 1280}} {
		s := op.NewScope("peak")
		x, w := s.Input("x", z[0], z[1]), s.Param("weight", z[2], z[1])
		out := op.Linear{}.Apply(s, x, w, nil, nil)
		r, err := run(ctx, o, s, gorgonia.Nodes{out}, 4)
		if err != nil {
			return 0, err
		}
		best = max(best, r.GFLOPS)
	}
	return best, nil
}

func measure(ctx context.Context, o Options, n network) (Result, error) {
	s, out, err := n.build()
	if err != nil {
		return Result{}, err
	}
	outputs := gorgonia.Nodes{out}
	if n.training {
		if outputs, err = trainingStep(s, out); err != nil {
			return Result{}, err
		}
	}
	runs := o.Runs
	if runs == 0 {
		runs = 2
	}
	r, err := run(ctx, o, s, outputs, runs)
	r.Name, r.Training = n.name, n.training
	return r, err
}

// trainingStep adds the loss, its gradients, clipping and AdamW to a network.
func trainingStep(s *op.Scope, out *gorgonia.Node) (gorgonia.Nodes, error) {
	loss := op.MSE{}.Apply(s, out, s.Input("target", out.Shape()...), nil)
	if err := s.Err(); err != nil {
		return nil, err
	}
	params := s.Params()
	grads, err := graph.Gradients(loss, params...)
	if err != nil {
		return nil, err
	}
	adamw := graph.NewAdamW(s)
	adamw.Scale = op.ClipScale{Max: 1}.Apply(s, op.GlobalNorm{}.Apply(s, grads...))
	outputs := gorgonia.Nodes{loss}
	for i, p := range params {
		outputs = append(outputs, adamw.Update(p, grads[i]))
	}
	return outputs, s.Err()
}

// run gives parameters their weights, compiles and runs.
func run(ctx context.Context, o Options, s *op.Scope, outputs gorgonia.Nodes, runs int) (r Result, err error) {
	if err := s.Err(); err != nil {
		return r, err
	}
	memory, err := formula.Weights{Gain: 1}.Bind(s.Params())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	for _, n := range s.Params() {
		if strings.HasPrefix(n.Name(), "adamw.") { // the moments begin at zero
			clear(n.Value().Data().([]float32))
		}
	}
	if updates(outputs) && !o.Device.HostMemory() {
		values, failed := resident(o.Device, s.Params())
		defer func() {
			for _, v := range values {
				err = errors.Join(err, v.Close())
			}
		}()
		if failed != nil {
			return r, failed
		}
	}
	begin := time.Now()
	p, err := vm.Compile(outputs, vm.Options{Device: o.Device, Precision: o.Precision, LowMemory: o.LowMemory, Recompute: true, Profile: o.Profile != nil})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	r.Compile = time.Since(begin).Seconds()
	if o.Dump != nil {
		if err := p.Dump(o.Dump); err != nil {
			return r, err
		}
	}
	feeds := inputs(p)
	best := time.Duration(1 << 62)
	var all []float64
	for i := range runs {
		if o.Profile != nil && i == runs-1 {
			p.ResetTimes()
		}
		begin := time.Now()
		if _, err := p.Run(ctx, feeds); err != nil {
			return r, err
		}
		took := time.Since(begin)
		best, all = min(best, took), append(all, took.Seconds())
	}
	if all = all[min(1, len(all)-1):]; len(all) > 0 {
		slices.Sort(all)
		r.Median = all[len(all)/2]
	}
	report := p.Report()
	if o.Profile != nil {
		o.Profile(report)
	}
	var flops int64
	for _, step := range report.Steps {
		flops += step.FLOP
	}
	r.Seconds = best.Seconds()
	r.GFLOPS = float64(flops) / best.Seconds() / 1e9
	r.Arena, r.Kernels, r.PeakRSS = report.Memory.Arena, report.Memory.Kernels, hostinfo.PeakResident()
	return r, nil
}

// updates tells whether a program is a training step.
func updates(outputs gorgonia.Nodes) bool {
	return slices.ContainsFunc(outputs, func(n *gorgonia.Node) bool {
		a := op.Of(n)
		if a == nil {
			return false
		}
		_, ok := a.Spec.(op.AdamW)
		return ok
	})
}

// resident moves parameters to the device, where programs can update them. What it returns must be closed.
func resident(d device.Device, params gorgonia.Nodes) (values []*device.Value, err error) {
	for _, n := range params {
		v, err := device.NewValue(d, n.Shape()...)
		if err != nil {
			return values, fmt.Errorf("%s: %w", n.Name(), err)
		}
		values = append(values, v)
		if err := v.Write(n.Value().Data().([]float32)); err != nil {
			return values, fmt.Errorf("%s: %w", n.Name(), err)
		}
		if err := gorgonia.Let(n, v); err != nil {
			return values, fmt.Errorf("%s: %w", n.Name(), err)
		}
	}
	return values, nil
}

// inputs makes values for what a program is fed with.
func inputs(p *vm.Program) vm.Feeds {
	feeds := vm.Feeds{}
	for _, n := range p.Inputs() {
		size := op.Size(n.Shape())
		var backing any = formula.Tensor(0, "input/"+n.Name(), size, 1.7, 0)
		switch {
		case n.Dtype() == tensor.Int32:
			backing = make([]int32, size)
		case n.Name() == "timesteps":
			backing = slices.Repeat([]float32{500}, size)
		case n.Name() == "hyper":
			backing = op.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2}.Hyper(1e-6, 1).Data()
		}
		feeds[n] = tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(backing))
	}
	return feeds
}
