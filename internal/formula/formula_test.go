package formula_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/golden"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fullSize is what the golden data say of the formula.
type fullSize struct {
	Seed         uint64
	Gain         float64
	FormulaCheck struct {
		Name   string
		Shape  []int
		First8 []float32
	} `json:"formula_check"`
	Models map[string]struct{ Tensors map[string][]int }
}

func read(t *testing.T) fullSize {
	t.Helper()
	b, err := os.ReadFile(golden.Path(t, "full_size.json"))
	check(t, err)
	var f fullSize
	check(t, json.Unmarshal(b, &f))
	return f
}

func TestFirstValues(t *testing.T) {
	f := read(t)
	got := formula.Weights{Seed: f.Seed, Gain: f.Gain}.Values(f.FormulaCheck.Name, f.FormulaCheck.Shape...)
	if diff := cmp.Diff(f.FormulaCheck.First8, got[:len(f.FormulaCheck.First8)]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Inputs of the full-size networks are formula tensors with a = √3, written next to the outputs.
func TestInputs(t *testing.T) {
	f := read(t)
	g := golden.Open(t, "full_size.safetensors")
	for _, name := range g.Names() {
		if len(name) < 6 || name[:6] != "input/" {
			continue
		}
		a := float32(math.Sqrt(3))
		if name == "input/image" {
			a = 1
		}
		want := g.Float32(t, name)
		if diff := cmp.Diff(want.Data, formula.Tensor(f.Seed, name, len(want.Data), a, 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The definition, written down a second time: element by element, with 64-bit floats up to each rounding.
func element(name string, seed uint64, i int, a, c float64) float32 {
	mix := func(z uint64) uint64 {
		z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
		z = (z ^ (z >> 27)) * 0x94D049BB133111EB
		return z ^ (z >> 31)
	}
	h := uint64(0xCBF29CE484222325)
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 0x100000001B3
	}
	z := mix(mix(h^seed) + uint64(i+1)*0x9E3779B97F4A7C15)
	f := float32(float64(z>>40)/(1<<23) - 1)
	return float32(float64(float32(c)) + float64(float32(float64(float32(a))*float64(f))))
}

// Bound parameters have the values of the file's layout in the graph's order.
func TestBind(t *testing.T) {
	w := formula.Weights{Seed: 7, Gain: 1.5}
	s := op.NewScope("network")
	cases := []struct {
		name         string
		graph, file  []int
		amplitude, c float64
	}{
		{"conv.weight", []int{3, 2, 40, 700}, []int{700, 40, 3, 2}, 1.5 * math.Sqrt(3./240), 0},
		{"linear.weight", []int{600, 500}, []int{600, 500}, 1.5 * math.Sqrt(3./500), 0},
		{"norm.weight", []int{9}, []int{9}, 0.1, 1},
		{"norm.bias", []int{9}, []int{9}, 0.05, 0},
		{"bn.running_var", []int{9}, []int{9}, 0.25, 1},
		{"bn.running_mean", []int{9}, []int{9}, 0.1, 0},
		{"class", []int{1, 1, 12}, []int{1, 1, 12}, 1.5 * math.Sqrt(3./12), 0},
	}
	for _, c := range cases {
		s.Param(c.name, c.graph...)
	}
	check(t, s.Err())
	m, err := w.Bind(s.Params())
	check(t, err)
	for i, c := range cases {
		got := s.Params()[i].Value().Data().([]float32)
		file := w.Values(c.name, c.file...)
		want := make([]float32, len(file))
		for j := range file {
			if e := element(c.name, w.Seed, j, c.amplitude, c.c); e != file[j] {
				t.Fatalf("%s[%d] = %g, want %g", c.name, j, file[j], e)
			}
			at := j
			if len(c.file) == 4 {
				area, in := c.file[2]*c.file[3], c.file[1]
				at = (j%area*in+j/area%in)*c.file[0] + j/area/in
			}
			want[at] = file[j]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	check(t, m.Close())
}

// BenchmarkBind makes the weights of the full-size U-Net.
func BenchmarkBind(b *testing.B) {
	text, err := os.ReadFile(golden.Path(b, "full_size.json"))
	check(b, err)
	var f fullSize
	check(b, json.Unmarshal(text, &f))
	s := op.NewScope("unet")
	total := 0
	for name, shape := range f.Models["unet"].Tensors {
		if len(shape) == 4 {
			shape = []int{shape[2], shape[3], shape[1], shape[0]}
		}
		total += s.Param(name, shape...).Shape().TotalSize()
	}
	check(b, s.Err())
	b.SetBytes(int64(total) * 4)
	for b.Loop() {
		m, err := formula.Weights{Seed: f.Seed, Gain: f.Gain}.Bind(s.Params())
		check(b, err)
		check(b, m.Close())
	}
}
