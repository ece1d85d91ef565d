package weights_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/finite"
	"github.com/histdist/histdist/internal/networktest"
)

// A checkpoint, an export or a converted model that can't be used is never written.
func TestSavedWeightsAreNumbers(t *testing.T) {
	for name, bad := range map[string]float32{"NaN": float32(math.NaN()), "infinity": float32(math.Inf(-1))} {
		for _, dtype := range []weights.DType{weights.Float32, weights.Float16, weights.BFloat16} {
			for _, kernel := range []bool{false, true} {
				values := make([]float32, 3*3*2*5)
				values[57] = bad
				broken := weights.NewTensor("culprit", []int{len(values)}, values)
				if kernel {
					var err error
					broken, err = weights.FromValue("culprit", tensor.New(tensor.WithShape(3, 3, 2, 5), tensor.WithBacking(values)))
					if err != nil {
						t.Fatal(err)
					}
				}
				dir := t.TempDir()
				err := weights.Save(dir, []weights.Tensor{weights.NewTensor("good", []int{1}, []float32{1}), broken},
					weights.SaveOptions{DType: dtype})
				if !errors.Is(err, finite.Err) || !strings.Contains(err.Error(), "culprit") {
					t.Errorf("%s as %v, kernel %v: error %v, want one that names the tensor", name, dtype, kernel, err)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("%s as %v: left behind: %v %v", name, dtype, left, err)
				}
			}
		}
	}
}

func TestCheckFiniteNamesEachTensor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	ones := []float32{1, 1, 1}
	err := weights.Save(path, []weights.Tensor{
		weights.NewTensor("a", []int{3}, ones), weights.NewTensor("b", []int{3}, ones), weights.NewTensor("c", []int{0}, nil),
	}, weights.SaveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check := func() string {
		s, err := weights.Open(path, weights.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.CheckFinite(); err != nil {
			return strings.ReplaceAll(err.Error(), path, "FILE")
		}
		return ""
	}
	if diff := cmp.Diff("", check()); diff != "" {
		t.Error(diff)
	}
	networktest.Plant(t, path, "a", 2, 1e30)
	networktest.Plant(t, path, "b", 0, float32(math.NaN()))
	if diff := cmp.Diff("FILE: the weights are damaged: a: value 2 is 1e+30: too large (and 1 other tensors)",
		check()); diff != "" {
		t.Error(diff)
	}
}
