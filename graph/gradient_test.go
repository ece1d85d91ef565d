package graph_test

import (
	"math"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// differentiated is an operation with leaves named a, b, c … in the order of their making.
type differentiated struct {
	name  string
	build func(s *op.Scope, leaf func(shape ...int) *gorgonia.Node) *gorgonia.Node
}

type leafFunc = func(shape ...int) *gorgonia.Node

// operations lists every operation that has a gradient, in all its forms.
func operations() []differentiated {
	conv := func(shape, weight []int, bias, residual bool, c op.Conv2D) func(*op.Scope, leafFunc) *gorgonia.Node {
		return func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			x, w := leaf(shape...), leaf(weight...)
			var b, r *gorgonia.Node
			if bias {
				b = leaf(weight[3])
			}
			if residual {
				g := op.Geometry{KH: weight[0], KW: weight[1], Stride: max(c.Stride, 1), Pad: c.Pad}
				h, wd := g.Out(shape[1], shape[2])
				r = leaf(shape[0], h, wd, weight[3])
			}
			return c.Apply(s, x, w, b, r)
		}
	}
	list := []differentiated{
		{"Conv2D 3x3", conv([]int{2, 5, 4, 3}, []int{3, 3, 3, 2}, true, true, op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}})},
		{"Conv2D 1x1", conv([]int{2, 3, 2, 4}, []int{1, 1, 4, 3}, true, true, op.Conv2D{})},
		{"Conv2D stride 2", conv([]int{1, 6, 5, 2}, []int{3, 3, 2, 3}, true, false, op.Conv2D{Geometry: op.Geometry{Stride: 2, Pad: op.Pad(1)}})},
		{"Conv2D padded at the end", conv([]int{1, 6, 4, 2}, []int{3, 3, 2, 2}, false, false, op.Conv2D{Geometry: op.Geometry{Stride: 2, Pad: op.Padding{Bottom: 1, Right: 1}}})},
		{"Conv2D patches", conv([]int{1, 6, 9, 2}, []int{3, 3, 2, 2}, true, false, op.Conv2D{Geometry: op.Geometry{Stride: 3}})},
		{"Conv2D 1x4", conv([]int{1, 3, 6, 2}, []int{1, 4, 2, 3}, true, false, op.Conv2D{Geometry: op.Geometry{Pad: op.Padding{Left: 3, Right: 0}}})},
		{"Conv2D resized", conv([]int{1, 2, 3, 2}, []int{3, 3, 2, 2}, true, false, op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}, ResizeH: 4, ResizeW: 5})},
		{"Linear", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.Linear{}.Apply(s, leaf(2, 3, 5), leaf(4, 5), leaf(4), leaf(2, 3, 4))
		}},
		{"LayerNorm", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.LayerNorm{Eps: 1e-5}.Apply(s, leaf(3, 7), leaf(7), leaf(7))
		}},
		{"GEGLU", func(s *op.Scope, leaf leafFunc) *gorgonia.Node { return op.GEGLU{}.Apply(s, leaf(3, 8)) }},
		{"Add", func(s *op.Scope, leaf leafFunc) *gorgonia.Node { return op.Add{}.Apply(s, leaf(3, 4), leaf(3, 4)) }},
		{"Mul", func(s *op.Scope, leaf leafFunc) *gorgonia.Node { return op.Mul{}.Apply(s, leaf(3, 4), leaf(3, 4)) }},
		{"Scale", func(s *op.Scope, leaf leafFunc) *gorgonia.Node { return op.Scale{Factor: -1.7}.Apply(s, leaf(3, 4)) }},
		{"AddChannels", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.AddChannels{}.Apply(s, leaf(2, 3, 2, 4), leaf(2, 4))
		}},
		{"AddBatch", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.AddBatch{}.Apply(s, leaf(3, 2, 4), leaf(2, 4))
		}},
		{"Concat channels", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.ConcatChannels(s, leaf(2, 3, 2), leaf(2, 3, 1), leaf(2, 3, 4))
		}},
		{"Slice", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.Slice{Axis: 1, Offset: 1, Length: 3}.Apply(s, leaf(2, 5, 3))
		}},
		{"ZeroPad", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			// The gradient of a slice, differentiated once more, is a slice of a padded value.
			return op.Slice{Axis: 1, Offset: 0, Length: 2}.Apply(s,
				op.Slice{Axis: 1, Offset: 1, Length: 4}.Apply(s, leaf(2, 6, 3)))
		}},
		{"Reshape", func(s *op.Scope, leaf leafFunc) *gorgonia.Node { return op.View{3, 4}.Apply(s, leaf(2, 6)) }},
		{"MSE", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.MSE{}.Apply(s, leaf(3, 4), leaf(3, 4), nil)
		}},
		{"MSE weighted", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.MSE{}.Apply(s, leaf(3, 4), leaf(3, 4), s.Input("weights", 3))
		}},
		{"SamplePosterior", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.PosteriorSample{}.Apply(s, leaf(2, 3, 2, 6), s.Input("noise", 2, 3, 2, 3))
		}},
		{"SamplePosterior beyond the clamp", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.PosteriorSample{}.Apply(s, op.Scale{Factor: 40}.Apply(s, leaf(1, 4, 6)), s.Input("noise", 1, 4, 3))
		}},
		{"PosteriorKL", func(s *op.Scope, leaf leafFunc) *gorgonia.Node { return op.KLDivergence{}.Apply(s, leaf(2, 3, 2, 6)) }},
		{"a value used three times", func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			x := leaf(2, 4, 4)
			return op.Add{}.Apply(s, op.Attention{Heads: 2}.Apply(s, x, x, x), op.Mul{}.Apply(s, x, x))
		}},
	}
	for _, silu := range []bool{false, true} {
		name := "GroupNorm"
		if silu {
			name += " SiLU"
		}
		list = append(list, differentiated{name, func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.GroupNorm{Groups: 3, SiLU: silu}.Apply(s, leaf(2, 3, 2, 6), leaf(6), leaf(6), 1e-5)
		}})
	}
	for _, act := range []op.Act{op.SiLU, op.GELU, op.QuickGELU, op.ReLU} {
		list = append(list, differentiated{act.String(), func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return act.Apply(s, leaf(4, 5))
		}})
	}
	for _, causal := range []bool{false, true} {
		name, keys := "Attention", 5
		if causal {
			name, keys = "Attention causal", 4
		}
		list = append(list, differentiated{name, func(s *op.Scope, leaf leafFunc) *gorgonia.Node {
			return op.Attention{Heads: 3, Causal: causal}.Apply(s, leaf(2, 4, 6), leaf(2, keys, 6), leaf(2, keys, 6))
		}})
	}
	return list
}

// TestGradientsEqualFiniteDifferences compares the gradient of Σ seed·out with its central differences, extrapolated to
// step zero (Richardson), in float64.
func TestGradientsEqualFiniteDifferences(t *testing.T) {
	const tolerance = 1e-6
	d := open(t, "ref")
	for _, c := range operations() {
		t.Run(c.name, func(t *testing.T) {
			s := op.NewScope("test")
			var leaves gorgonia.Nodes
			out := c.build(s, func(shape ...int) *gorgonia.Node {
				n := s.Input(string(rune('a'+len(leaves))), shape...)
				leaves = append(leaves, n)
				return n
			})
			seed := s.Input("seed", out.Shape()...)
			if err := s.Err(); err != nil {
				t.Fatal(err)
			}
			grads, err := gorgonia.Backpropagate(gorgonia.Nodes{out}, gorgonia.Nodes{seed}, leaves)
			if err != nil {
				t.Fatal(err)
			}
			forward, feeds := compiled(t, d, s, gorgonia.Nodes{out})
			backward, _ := compiled(t, d, s, append(gorgonia.Nodes{}, grads...))
			weights := float64s(seed.Shape(), 99)
			all := vm.Feeds{seed: weights}
			for n, v := range feeds {
				all[n] = v
			}
			loss := func() float64 {
				got, err := forward.Run(t.Context(), feeds)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for i, v := range got[0].Float64s() {
					sum += v * weights.Float64s()[i]
				}
				return sum
			}
			values, err := backward.Run(t.Context(), needed(all, backward))
			if err != nil {
				t.Fatal(err)
			}
			for i, n := range leaves {
				got := append([]float64(nil), values[i].Float64s()...)
				x := feeds[n].(*tensor.Dense).Float64s()
				central := func(j int, h float64) float64 {
					was := x[j]
					x[j] = was + h
					above := loss()
					x[j] = was - h
					below := loss()
					x[j] = was
					return (above - below) / (2 * h)
				}
				var worst, largest float64
				for j := range x {
					want := (4*central(j, 5e-4) - central(j, 1e-3)) / 3
					worst = max(worst, math.Abs(got[j]-want))
					largest = max(largest, math.Abs(want))
				}
				if !(worst <= tolerance*max(largest, 1e-3)) {
					t.Errorf("input %s: gradient is off by %.2g of %.2g", n.Name(), worst, largest)
				}
			}
		})
	}
}

// compiled returns a float64 program and values for all leaves that it reads.
func compiled(t *testing.T, d device.Device, s *op.Scope, outputs gorgonia.Nodes) (*vm.Program, vm.Feeds) {
	p, err := vm.Compile(outputs, vm.Options{Device: d, Precision: vm.Float64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	feeds := vm.Feeds{}
	for i, n := range p.Inputs() {
		switch {
		case n.Name() == "ids":
			feeds[n] = tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking([]int32{4, 0, 2, 2, 1, 4}))
		case n.Name() != "seed":
			feeds[n] = float64s(n.Shape(), uint64(n.ID())*17+uint64(i))
		}
	}
	return p, feeds
}

// needed leaves the feeds that a program takes.
func needed(f vm.Feeds, p *vm.Program) vm.Feeds {
	out := vm.Feeds{}
	for _, n := range p.Inputs() {
		out[n] = f[n]
	}
	return out
}

// float64s is uniform noise in ±1.5.
func float64s(shape tensor.Shape, seed uint64) *tensor.Dense {
	x := make([]float64, op.Size(shape))
	z := seed*0x9E3779B97F4A7C15 + 1
	for i := range x {
		z = z*6364136223846793005 + 1442695040888963407
		x[i] = 3 * (float64(z>>11)/(1<<53) - 0.5)
	}
	shape = append(tensor.Shape{}, shape...)
	if len(shape) == 0 {
		shape = tensor.Shape{1}
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
}

func TestGradientErrors(t *testing.T) {
	s := op.NewScope("test")
	x, w, unused := s.Input("x", 2, 3), s.Param("w", 4, 3), s.Param("unused", 4)
	y := op.Linear{}.Apply(s, x, w, nil, nil)
	loss := op.MSE{}.Apply(s, y, s.Input("target", 2, 4), nil)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		loss *gorgonia.Node
		wrt  gorgonia.Nodes
		want string
	}{
		{"nil loss", nil, gorgonia.Nodes{w}, "the loss is nil"},
		{"not a scalar", y, gorgonia.Nodes{w}, "the loss has shape [2 4], want a scalar"},
		{"nothing", loss, nil, "with respect to nothing"},
		{"nil", loss, gorgonia.Nodes{nil}, "with respect to 0, which is nil"},
		{"computed", loss, gorgonia.Nodes{y}, "want a leaf"},
		{"unused", loss, gorgonia.Nodes{w, unused}, "the loss does not depend on unused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := graph.Gradients(c.loss, c.wrt...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
	if _, err := graph.Gradients(loss, w); err != nil {
		t.Fatal(err)
	}
	if _, err := graph.Gradients(loss, w); err == nil || !strings.Contains(err.Error(), "was differentiated before") {
		t.Errorf("differentiated twice: got %v", err)
	}
}
