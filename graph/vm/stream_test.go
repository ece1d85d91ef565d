package vm_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// TestSumsAreNotRounded runs a residual block whose weights are zero: it must return its input to the bit in every
// precision, and no step may be spent on casts, for the products read and store what is wanted.
func TestSumsAreNotRounded(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		s := op.NewScope("block")
		x, embedding := s.Input("x", 1, 4, 4, 8), s.Input("embedding", 1, 6)
		norm := func(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
			return op.GroupNorm{Groups: 2, SiLU: true}.Apply(s, x, s.Param("gamma", 8), s.Param("beta", 8), 1e-5)
		}
		same := op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}}
		h := same.Apply(s, norm(s.Sub("norm1"), x), s.Param("conv1", 3, 3, 8, 8), nil, nil)
		h = op.AddChannels{}.Apply(s, h, op.Linear{}.Apply(s, embedding, s.Param("time", 8, 6), nil, nil))
		out := same.Apply(s, norm(s.Sub("norm2"), h), s.Param("conv2", 3, 3, 8, 8), nil, x)
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		for _, n := range s.Params() {
			if err := gorgonia.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.Of(tensor.Float32))); err != nil {
				t.Fatal(err)
			}
		}
		in := make([]float32, 128)
		for i := range in {
			in[i] = 1 + float32(i)*0x1p-20 // far more digits than bfloat16 has
		}
		p := compile(t, gorgonia.Nodes{out}, vm.Options{Device: d, Precision: precision})
		got := run(t, p, vm.Feeds{
			x:         tensor.New(tensor.WithShape(1, 4, 4, 8), tensor.WithBacking(in)),
			embedding: tensor.New(tensor.WithShape(1, 6), tensor.WithBacking(make([]float32, 6))),
		})
		if diff := cmp.Diff(in, got[0]); diff != "" {
			t.Errorf("the block changed its input (-want +got):\n%s", diff)
		}
		for _, step := range p.Report().Steps {
			if step.Op == "Cast" {
				t.Errorf("%s: want no casts", step.Place)
			}
		}
	})
}
