package lora_test

import (
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/weights"
)

// tensor is a tensor of ones.
func tensor(name string, shape ...int) weights.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	x := make([]float32, n)
	for i := range x {
		x[i] = 1
	}
	return weights.NewTensor(name, shape, x)
}

func write(t *testing.T, metadata map[string]string, tensors ...weights.Tensor) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), lora.FileName)
	if err := weights.Save(path, tensors, weights.SaveOptions{Metadata: metadata}); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNamesAndScales adds adapters under the names of several programs to a weight of ones: 1 + scale·rank.
func TestNamesAndScales(t *testing.T) {
	const q = "unet.b.attn1.to_q."
	alpha := func(x float32) weights.Tensor { return weights.NewTensor(q+"alpha", []int{}, []float32{x}) }
	for name, test := range map[string]struct {
		metadata map[string]string
		tensors  []weights.Tensor
		weight   float64
		want     float32
	}{
		"PEFT": {nil, []weights.Tensor{tensor(q+"lora_A.weight", 2, 3), tensor(q+"lora_B.weight", 4, 2)}, 1, 3},
		"weight": {
			nil, []weights.Tensor{tensor(q+"lora_A.weight", 2, 3), tensor(q+"lora_B.weight", 4, 2)}, -0.5, 0,
		},
		"alpha": {
			nil, []weights.Tensor{tensor(q+"lora_A.weight", 2, 3), tensor(q+"lora_B.weight", 4, 2), alpha(4)}, 1, 5,
		},
		"metadata": {
			map[string]string{"lora_adapter_metadata": `{"unet.r": 2, "unet.lora_alpha": 1}`},
			[]weights.Tensor{tensor(q+"lora_A.weight", 2, 3), tensor(q+"lora_B.weight", 4, 2)},
			1, 2,
		},
		"diffusers": {nil, []weights.Tensor{tensor(q+"lora.down.weight", 2, 3), tensor(q+"lora.up.weight", 4, 2)}, 1, 3},
		"processor": {
			nil,
			[]weights.Tensor{
				tensor("unet.b.attn1.processor.to_q_lora.down.weight", 2, 3),
				tensor("unet.b.attn1.processor.to_q_lora.up.weight", 4, 2),
			},
			1, 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := lora.Open(filepath.Dir(write(t, test.metadata, test.tensors...)))
			if err != nil {
				t.Fatal(err)
			}
			s := base(t)
			if err := a.AddTo(s, test.weight, lora.Fit{Base: "other"}); err != nil {
				t.Fatal(err)
			}
			got, _, err := s.Float32("b.attn1.to_q.weight")
			if err != nil || !slices.Equal(got, slices.Repeat([]float32{test.want}, 12)) {
				t.Errorf("%v, %v: want %g", got, err, test.want)
			}
		})
	}
}

// base is a network with one linear layer of ones.
func base(t *testing.T) *weights.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "unet.safetensors")
	tensors := []weights.Tensor{tensor("b.attn1.to_q.weight", 4, 3)}
	if err := weights.Save(path, tensors, weights.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := weights.Open(path, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestErrors(t *testing.T) {
	const q = "unet.b.attn1.to_q."
	ofBase := map[string]string{"histdist.base": "0123"}
	for name, test := range map[string]struct {
		metadata map[string]string
		tensors  []weights.Tensor
		want     string
	}{
		"text encoder": {nil, []weights.Tensor{tensor("text_encoder.x.lora_A.weight", 1, 1)}, "text encoder are not supported"},
		"kohya":        {nil, []weights.Tensor{tensor("lora_unet_b.lora_down.weight", 1, 1)}, "kohya"},
		"no adapter":   {nil, []weights.Tensor{tensor("conv_in.weight", 1, 1)}, "no tensor of a low-rank adapter"},
		"half of one":  {nil, []weights.Tensor{tensor(q+"lora_A.weight", 2, 3)}, "lora_A [2 3] and lora_B []"},
		"two ranks": {
			nil, []weights.Tensor{tensor(q+"lora_A.weight", 2, 3), tensor(q+"lora_B.weight", 4, 1)}, "lora_B [4 1]",
		},
		"rslora": {
			map[string]string{"lora_adapter_metadata": `{"unet.use_rslora": true}`},
			[]weights.Tensor{tensor(q+"lora_A.weight", 2, 3), tensor(q+"lora_B.weight", 4, 2)},
			"use_rslora",
		},
		"another layer": {
			nil,
			[]weights.Tensor{tensor("unet.c.lora_A.weight", 2, 3), tensor("unet.c.lora_B.weight", 4, 2)},
			"c: not in the U-Net (1 of 1 layers)",
		},
		"another shape": {
			nil,
			[]weights.Tensor{tensor(q+"lora_A.weight", 2, 5), tensor(q+"lora_B.weight", 4, 2)},
			"for a weight [4 5], the U-Net's is [4 3]",
		},
		"another base": {
			ofBase,
			[]weights.Tensor{tensor(q+"lora_A.weight", 2, 3), tensor(q+"lora_B.weight", 4, 2)},
			"its fingerprint is 0123, that of",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := lora.Open(write(t, test.metadata, test.tensors...))
			if err == nil {
				err = a.AddTo(base(t), 1, lora.Fit{Base: "4567"})
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	a, err := lora.Open(write(t, ofBase, tensor(q+"lora_A.weight", 2, 3), tensor(q+"lora_B.weight", 4, 2)))
	if err == nil {
		err = a.AddTo(base(t), 1, lora.Fit{Base: "4567", Other: true})
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := lora.Open(filepath.Join(t.TempDir(), "none.safetensors")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v: want that there is no such file", err)
	}
}

func TestUses(t *testing.T) {
	var got lora.Uses
	if err := got.UnmarshalText([]byte(`a.safetensors, C:\b:0.5,c:-1`)); err != nil {
		t.Fatal(err)
	}
	want := lora.Uses{{Path: "a.safetensors", Weight: 1}, {Path: `C:\b`, Weight: 0.5}, {Path: "c", Weight: -1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{":1", "a:1000", "a:NaN"} {
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s is no error", text)
		}
	}
}

// TestInitialise: A is uniform in ±1/√in, whose standard deviation is 1/√(3·in), and the layouts of files and graphs
// have the same numbers.
func TestInitialise(t *testing.T) {
	s := op.NewScope("test")
	flat, conv := s.Param("x.lora_A.weight", 16, 3*3*64), s.Param("y.lora_A.weight", 3, 3, 64, 16)
	b := s.Param("y.lora_B.weight", 1, 1, 16, 8)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	rows, err := lora.Initialise(flat, rng.NewTorch(1))
	if err != nil {
		t.Fatal(err)
	}
	const in = 3 * 3 * 64
	sum := 0.0
	for _, x := range rows {
		if math.Abs(float64(x)) > 1/math.Sqrt(in) {
			t.Fatalf("%g is out of bounds", x)
		}
		sum += float64(x) * float64(x)
	}
	if got, want := math.Sqrt(sum/float64(len(rows))), 1/math.Sqrt(3*in); math.Abs(got/want-1) > 0.05 {
		t.Errorf("standard deviation %g, want about %g", got, want)
	}
	kernel, err := lora.Initialise(conv, rng.NewTorch(1))
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range rows { // [O,I,K]
		o, c, k := i/in, i%in/9, i%9
		if kernel[(k*64+c)*16+o] != x {
			t.Fatalf("number %d is %g in the graph's layout, want %g", i, kernel[(k*64+c)*16+o], x)
		}
	}
	zeros, err := lora.Initialise(b, rng.NewTorch(1))
	if err != nil || slices.ContainsFunc(zeros, func(x float32) bool { return x != 0 }) {
		t.Errorf("B: %v, %v: want zeros", zeros, err)
	}
}
