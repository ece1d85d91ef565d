package vm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// sampler is a block as a sampler runs it: x changes in each run, timesteps and context are of a few values.
type sampler struct {
	x, timesteps, context, out *gorgonia.Node
}

func newSampler(t *testing.T) sampler {
	s := op.NewScope("sampler")
	n := sampler{x: s.Input("x", 1, 6, 5, 8), timesteps: s.Input("timesteps", 1), context: s.Input("context", 1, 7, 6)}
	temb := nn.TimestepEmbedding(s.Sub("time"), op.TimestepEmbedding{Channels: 8}.Apply(s, n.timesteps), 16)
	h := nn.Resnet(s.Sub("resnet"), n.x, temb, nn.ResnetConfig{Out: 8, Norm: nn.NormConfig{Groups: 4, Eps: 1e-5}})
	n.out = nn.Transformer2D(s.Sub("attention"), h, n.context,
		nn.Transformer2DConfig{Heads: 2, Groups: 4, Eps: 1e-6, Layers: 1})
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	for i, p := range s.Params() {
		if err := gorgonia.Let(p, filled(p.Shape(), uint64(i+10), 0.1, 0.8)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// feeds are values of the three inputs, by number.
func (n sampler) feeds(x, timestep, context int) vm.Feeds {
	return vm.Feeds{
		n.x:         filled(n.x.Shape(), uint64(x), 0, 2),
		n.timesteps: tensor.New(tensor.WithShape(1), tensor.WithBacking([]float32{float32(timestep)})),
		n.context:   filled(n.context.Shape(), uint64(100+context), 0, 2),
	}
}

func TestInvariantsChangeNothing(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		o := vm.Options{Device: d, Precision: precision}
		n := newSampler(t)
		plain := compile(t, gorgonia.Nodes{n.out}, o)
		o.Invariant = gorgonia.Nodes{n.timesteps, n.context}
		kept := compile(t, gorgonia.Nodes{n.out}, o)
		steps := len(kept.Report().Steps)
		if steps != len(plain.Report().Steps) {
			t.Errorf("%d steps with invariants, %d without", steps, len(plain.Report().Steps))
		}
		for i, f := range []vm.Feeds{
			n.feeds(1, 500, 1), n.feeds(2, 500, 1), n.feeds(3, 20, 1), n.feeds(4, 20, 2), n.feeds(5, 500, 1), n.feeds(6, 0, 3),
			n.feeds(1, 500, 1),
		} {
			want := run(t, plain, f)[0]
			if got := run(t, kept, f)[0]; !slices.Equal(got, want) {
				t.Errorf("run %d: not what the program without invariants computes", i)
			}
		}
	})
}

// What depends on an invariant alone must not run again for a value that was there before.
func TestInvariantsRunOnce(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		o := vm.Options{Device: d, Precision: precision}
		n := newSampler(t)
		o.Invariant = gorgonia.Nodes{n.timesteps, n.context}
		p := compile(t, gorgonia.Nodes{n.out}, o)
		run(t, p, n.feeds(1, 500, 1))
		run(t, p, n.feeds(1, 7, 1))
		p.ResetTimes()
		run(t, p, n.feeds(2, 500, 1))
		run(t, p, n.feeds(2, 7, 1))
		var again, ran []string
		for _, s := range p.Report().Steps {
			of := strings.Contains(s.Place, "time") || strings.Contains(s.Place, "attn2.to_k") ||
				strings.Contains(s.Place, "attn2.to_v")
			switch {
			case of && s.Time > 0:
				again = append(again, s.Place)
			case !of && s.Time > 0:
				ran = append(ran, s.Place)
			}
		}
		if len(again) > 0 || len(ran) == 0 {
			t.Errorf("ran again: %v; of the others ran %v", again, ran)
		}
	})
}

// A run that ends early leaves nothing that a later run could take for a result.
func TestInvariantsOfAStoppedRun(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		o := vm.Options{Device: d, Precision: precision}
		n := newSampler(t)
		f := n.feeds(1, 500, 1)
		want := run(t, compile(t, gorgonia.Nodes{n.out}, o), f)[0]
		o.Invariant = gorgonia.Nodes{n.timesteps, n.context}
		p := compile(t, gorgonia.Nodes{n.out}, o)
		var before int64
		for after := range len(p.Report().Steps) {
			ctx := &countdown{t.Context(), after}
			if _, err := p.Run(ctx, f); !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped after %d kernels: error %v, want context.Canceled", after, err)
			}
			if after == 0 {
				before = o.Device.Allocated() // with what the inputs are converted to
			}
			if got := o.Device.Allocated(); got != before {
				t.Fatalf("stopped after %d kernels: %d bytes are still allocated, %d were before", after, got, before)
			}
		}
		if got := run(t, p, f)[0]; !slices.Equal(got, want) {
			t.Error("after stopped runs the result is another one")
		}
	})
}

func TestInvariantsAreBounded(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		o := vm.Options{Device: d, Precision: precision}
		s := op.NewScope("wide")
		x, context := s.Input("x", 1, 1, 1<<12), s.Input("context", 1, 1<<10, 4)
		k := nn.Linear(s.Sub("k"), context, nn.LinearConfig{Out: 1 << 12, NoBias: true}) // 16 MB
		out := op.Attention{Heads: 1}.Apply(s, x, k, k)
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		if err := gorgonia.Let(s.Params()[0], filled(s.Params()[0].Shape(), 1, 0, 1)); err != nil {
			t.Fatal(err)
		}
		o.Invariant = gorgonia.Nodes{context}
		p := compile(t, gorgonia.Nodes{out}, o)
		before := o.Device.Allocated()
		for i := range 9 {
			run(t, p, vm.Feeds{x: filled(x.Shape(), 1, 0, 1), context: filled(context.Shape(), uint64(i), 0, 1)})
		}
		if kept := o.Device.Allocated() - before; kept < 16<<20 || kept > 64<<20 {
			t.Errorf("%d bytes are kept of 9 contexts of 16 MiB, want one at least and at most 64 MiB", kept)
		}
	})
}

func TestInvariantThatIsNoInput(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		o := vm.Options{Device: d, Precision: precision}
		n := newSampler(t)
		o.Invariant = gorgonia.Nodes{n.out}
		if _, err := vm.Compile(gorgonia.Nodes{n.out}, o); err == nil || !strings.Contains(err.Error(), "not an input") {
			t.Errorf("error %v, want one that says it is not an input", err)
		}
	})
}
