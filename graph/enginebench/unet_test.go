package enginebench

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/hostinfo"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// TestBenchUNet measures a step of the whole U-Net at 64×64 latents and a training step with AdamW at 32×32.
func TestBenchUNet(t *testing.T) {
	if !*enabled {
		t.Skip("a measurement: run make bench-unet")
	}
	d, p := open(t)
	defer d.Close()
	s, out := UNet(1, 64)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	weights := bind(t, d, s.Params())
	for _, low := range []bool{false, true} {
		report(t, fmt.Sprintf("U-Net step, 64×64 latents, low memory %v", low), gorgonia.Nodes{out},
			vm.Options{Device: d, Precision: p, LowMemory: low}, 3)
	}
	if *forwardOnly {
		return
	}
	s, out = UNet(1, 32)
	loss := op.MSE{}.Apply(s, out, s.Input("target", 1, 32, 32, 4), nil)
	grads, err := graph.Gradients(loss, s.Params()...)
	if err != nil {
		t.Fatal(err)
	}
	hyper := s.Input("hyper", 7)
	scale := op.ClipScale{Max: 1}.Apply(s, op.GlobalNorm{}.Apply(s, grads...))
	outputs := gorgonia.Nodes{loss}
	moments := s.Sub("adamw")
	var state gorgonia.Nodes
	for i, n := range s.Params() {
		if err := gorgonia.Let(n, weights[i]); err != nil {
			t.Fatal(err)
		}
		m, v := moments.Input(n.Name()+".m", n.Shape()...), moments.Input(n.Name()+".v", n.Shape()...)
		state = append(state, m, v)
		outputs = append(outputs, op.AdamW{}.Apply(s, op.AdamWOperands{Param: n, Gradient: grads[i], ExpAvg: m, ExpAvgSq: v, Hyper: hyper, Scale: scale}))
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range state {
		let(t, d, n, func([]float32) {})
	}
	report(t, "training step, 32×32 latents, AdamW, clipped", outputs, vm.Options{Device: d, Precision: p}, 3)
}

// bind gives every parameter a value at which features neither vanish nor grow.
func bind(t *testing.T, d device.Device, params gorgonia.Nodes) []*tensor.Dense {
	values := make([]*tensor.Dense, len(params))
	for i, n := range params {
		shape := n.Shape()
		values[i] = let(t, d, n, func(x []float32) {
			switch {
			case len(shape) > 1:
				last := shape[0] // of [out,in]
				if len(shape) == 4 {
					last = shape[3]
				}
				fill(x, float32(math.Sqrt(3*float64(last)/float64(len(x)))), uint64(i))
			case strings.HasSuffix(n.Name(), "weight"):
				for j := range x {
					x[j] = 1
				}
			}
		})
	}
	return values
}

// let binds memory of the device to a leaf. It stays allocated for as long as the process runs.
func let(t *testing.T, d device.Device, n *gorgonia.Node, initialise func([]float32)) *tensor.Dense {
	size := op.Size(n.Shape())
	m, err := d.Alloc(int64(size) * 4)
	if err != nil {
		t.Fatal(err)
	}
	x := device.Slice[float32](m.Ptr, size)
	initialise(x)
	v := tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(x))
	if err := gorgonia.Let(n, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// fill is uniform noise in ±scale.
func fill(x []float32, scale float32, seed uint64) {
	const block = 1 << 20
	var wg sync.WaitGroup
	for at := 0; at < len(x); at += block {
		part := x[at:min(at+block, len(x))]
		wg.Go(func() {
			z := (seed+1)*0x9E3779B97F4A7C15 ^ uint64(at)
			for i := range part {
				z = z*6364136223846793005 + 1442695040888963407
				part[i] = scale * (float32(z>>40)/(1<<23) - 1)
			}
		})
	}
	wg.Wait()
}

func report(t *testing.T, title string, outputs gorgonia.Nodes, o vm.Options, runs int) {
	begin := time.Now()
	p, err := vm.Compile(outputs, o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	compiled := time.Since(begin)
	feeds := vm.Feeds{}
	for i, n := range p.Inputs() {
		feeds[n] = noise(n.Shape(), i)
		if n.Name() == "hyper" {
			c := op.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2}
			feeds[n] = c.Hyper(1e-5, 1)
		}
	}
	fastest := time.Hour
	for run := range runs {
		if run == 1 {
			p.ResetTimes()
		}
		begin := time.Now()
		if _, err := p.Run(t.Context(), feeds); err != nil {
			t.Fatal(err)
		}
		fastest = min(fastest, time.Since(begin))
	}
	r := p.Report()
	var flops int64
	for _, s := range r.Steps {
		flops += s.FLOP
	}
	fmt.Printf("\n== %s: %.3f s (best of %d), %.1f GFLOP/s, compiled in %.2f s, peak resident memory %d MiB\n%s",
		title, fastest.Seconds(), runs, float64(flops)/fastest.Seconds()/1e9, compiled.Seconds(), hostinfo.PeakResident()>>20, r)
}
