package nn_test

import (
	"math"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

func let(t testing.TB, n *gorgonia.Node, values ...float32) {
	t.Helper()
	if err := gorgonia.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(values))); err != nil {
		t.Fatal(err)
	}
}

// TestConvNormByDefinition compares with (w·x − mean)/√(variance + eps)·weight + bias, for one channel and one pixel.
func TestConvNormByDefinition(t *testing.T) {
	d := networktest.Open(t, "ref")
	rapid.Check(t, func(r *rapid.T) {
		draw := func(name string, low, high float32) float32 { return rapid.Float32Range(low, high).Draw(r, name) }
		x, w := draw("x", -4, 4), draw("w", -4, 4)
		gamma, beta, mean, variance, residual := draw("gamma", -2, 2), draw("beta", -2, 2), draw("mean", -2, 2),
			draw("variance", 0, 4), draw("residual", -2, 2)
		const eps = 1e-3
		build := func() (*op.Scope, *nn.Folds, *gorgonia.Node, vm.Feeds) {
			s, folds := op.NewScope("test"), &nn.Folds{}
			in, more := s.Input("x", 1, 1, 1, 1), s.Input("residual", 1, 1, 1, 1)
			y := folds.ConvNorm(s.Sub("conv"), s.Sub("bn"), in, 1, op.Geometry{KH: 1, KW: 1, Stride: 1}, eps, more)
			one := func(v float32) *tensor.Dense {
				return networktest.Dense(golden.Tensor[float32]{Shape: []int{1, 1, 1, 1}, Data: []float32{v}})
			}
			return s, folds, y, vm.Feeds{in: one(x), more: one(residual)}
		}
		s, folds, y, feeds := build()
		for name, v := range map[string]float32{
			"conv.weight": w, "bn.weight": gamma, "bn.bias": beta, "bn.running_mean": mean, "bn.running_var": variance,
		} {
			let(t, s.Leaf(name), v)
		}
		if err := folds.Fold(); err != nil {
			t.Fatal(err)
		}
		want := (float64(w)*float64(x)-float64(mean))/math.Sqrt(float64(variance)+eps)*float64(gamma) +
			float64(beta) + float64(residual)
		got := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{y}, feeds)[0].Data[0]
		if math.Abs(float64(got)-want) > 1e-6*(16+math.Abs(float64(gamma))*20/math.Sqrt(float64(variance)+eps)) {
			r.Fatalf("%v, want %v", got, want)
		}
		_, other, y, feeds := build()
		if err := other.Share(folds); err != nil {
			t.Fatal(err)
		}
		if shared := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{y}, feeds)[0].Data[0]; shared != got {
			r.Fatalf("%v with shared values, want %v", shared, got)
		}
	})
}

func TestScaledLinearByDefinition(t *testing.T) {
	s, folds := op.NewScope("test"), &nn.Folds{}
	x := s.Input("x", 1, 2)
	y := folds.ScaledLinear(s.Sub("proj"), s.Sub("ls1"), x, 2, nil)
	let(t, s.Leaf("proj.weight"), 1, 2, 3, 4)
	let(t, s.Leaf("proj.bias"), 10, 20)
	let(t, s.Leaf("ls1.gamma"), 0.5, -2)
	if err := folds.Fold(); err != nil {
		t.Fatal(err)
	}
	got := networktest.Compute(t, vm.Options{Device: networktest.Open(t, "ref")}, gorgonia.Nodes{y},
		vm.Feeds{x: networktest.Dense(golden.Tensor[float32]{Shape: []int{1, 2}, Data: []float32{1, 10}})})[0].Data
	golden.Within(t, got, []float32{0.5 * (1 + 20 + 10), -2 * (3 + 40 + 20)}, golden.Tolerance{})
}

func TestFoldRefuses(t *testing.T) {
	s, folds := op.NewScope("test"), &nn.Folds{}
	folds.ConvNorm(s.Sub("conv"), s.Sub("bn"), s.Input("x", 1, 1, 1, 1), 1, op.Geometry{KH: 1, KW: 1, Stride: 1}, 1e-5,
		nil)
	if err := folds.Fold(); err == nil || err.Error() != "fold conv.weight: no float32 value is bound" {
		t.Errorf("unbound: %v", err)
	}
	for _, name := range []string{"conv.weight", "bn.weight", "bn.bias", "bn.running_mean"} {
		let(t, s.Leaf(name), 1)
	}
	let(t, s.Leaf("bn.running_var"), -1)
	if err := folds.Fold(); err == nil || !strings.Contains(err.Error(),
		"bn.running_var: channel 0 is -1: want a variance") {
		t.Errorf("a negative variance: %v", err)
	}
	if err := (&nn.Folds{}).Share(folds); err == nil {
		t.Error("shared with another network")
	}
	if err := folds.Share(folds); err == nil || err.Error() != "conv.folded.weight has no value" {
		t.Errorf("shared before it was folded: %v", err)
	}
}
