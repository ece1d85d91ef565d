package weights_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/weights"
)

// TestAdd compares with the sums written out, in the file's layout and in the graph's, with tensors larger than a job.
func TestAdd(t *testing.T) {
	numbers := func(n, seed int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32((i*7+seed*13)%23-11) / 16
		}
		return x
	}
	for _, dtype := range []weights.DType{weights.Float32, weights.BFloat16} {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		shapes := map[string][]int{"linear": {700, 1600}, "conv": {130, 5, 3, 3}, "other": {4, 4}}
		var tensors []weights.Tensor
		for name, shape := range shapes {
			n := 1
			for _, d := range shape {
				n *= d
			}
			tensors = append(tensors, weights.NewTensor(name, shape, numbers(n, 1)))
		}
		check(t, weights.Save(path, tensors, weights.SaveOptions{DType: dtype}))
		s, err := weights.Open(path, weights.Options{})
		check(t, err)
		before := map[string][]float32{}
		for name := range shapes {
			before[name], _, err = s.Float32(name)
			check(t, err)
		}
		linear := []weights.LowRank{
			{A: numbers(2*1600, 2), B: numbers(700*2, 3), Rank: 2, Scale: 0.5},
			{A: numbers(1600, 4), B: numbers(700, 5), Rank: 1, Scale: -2},
		}
		conv := weights.LowRank{A: numbers(3*45, 6), B: numbers(130*3, 7), Rank: 3, Scale: 1}
		for _, l := range linear {
			check(t, s.Add("linear", l))
		}
		check(t, s.Add("conv", conv))
		want := func(name string, o, j, width int, additions ...weights.LowRank) float64 {
			sum := float64(before[name][o*width+j])
			for _, l := range additions {
				for r := range l.Rank {
					sum += l.Scale * float64(l.B[o*l.Rank+r]) * float64(l.A[r*width+j])
				}
			}
			return sum
		}
		scope := op.NewScope("test")
		scope.Param("linear", 700, 1600)
		scope.Param("conv", 3, 3, 5, 130)
		scope.Param("other", 4, 4)
		check(t, scope.Err())
		check(t, s.Bind(scope.Params(), weights.Mapping{}))
		bound := map[string][]float32{}
		for _, p := range scope.Params() {
			bound[p.Name()] = p.Value().(*tensor.Dense).Float32s()
		}
		file, _, err := s.Float32("linear")
		check(t, err)
		for i, got := range bound["linear"] {
			exact := want("linear", i/1600, i%1600, 1600, linear...)
			if math.Abs(float64(got)-exact) > 1e-6 || file[i] != got {
				t.Fatalf("%v: linear %d: %g and %g, want %g", dtype, i, got, file[i], exact)
			}
		}
		for i, got := range bound["conv"] {
			o, c, k := i%130, i/130%5, i/130/5
			if exact := want("conv", o, c*9+k, 45, conv); math.Abs(float64(got)-exact) > 1e-6 {
				t.Fatalf("%v: conv %d: %g, want %g", dtype, i, got, exact)
			}
		}
		for i, got := range bound["other"] {
			if got != before["other"][i] {
				t.Fatalf("other %d: %g, want %g", i, got, before["other"][i])
			}
		}
		for _, test := range []struct {
			name string
			l    weights.LowRank
			want string
		}{
			{"missing", conv, "no tensor"}, {"conv", conv, "in use"},
		} {
			if err := s.Add(test.name, test.l); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", test.name, err, test.want)
			}
		}
		check(t, s.Close())
	}
}

func TestAddRefusesOtherSizes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	check(t, weights.Save(path, []weights.Tensor{weights.NewTensor("w", []int{2, 3}, make([]float32, 6))},
		weights.SaveOptions{}))
	s, err := weights.Open(path, weights.Options{})
	check(t, err)
	defer s.Close()
	for _, l := range []weights.LowRank{
		{}, {A: make([]float32, 3), B: make([]float32, 3), Rank: 1}, {A: make([]float32, 2), B: make([]float32, 2), Rank: 1},
	} {
		if err := s.Add("w", l); err == nil {
			t.Errorf("rank %d with %d and %d numbers is no error", l.Rank, len(l.A), len(l.B))
		}
	}
}
