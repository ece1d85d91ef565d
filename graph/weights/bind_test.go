package weights_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/weights"
)

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

func valuesOf(n *gorgonia.Node) []float32 { return n.Value().Data().([]float32) }

// random returns reproducible values that float16 and bfloat16 hold exactly.
func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.IntN(255)-127) / 64
	}
	return v
}

// saved writes tensors of these shapes with random values and returns the file and the values.
func saved(t *testing.T, dtype weights.DType, shapes map[string][]int) (string, map[string][]float32) {
	t.Helper()
	values := map[string][]float32{}
	var tensors []weights.Tensor
	for name, shape := range shapes {
		values[name] = random(uint64(len(name)), product(shape))
		tensors = append(tensors, weights.NewTensor(name, shape, values[name]))
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	check(t, weights.Save(path, tensors, weights.SaveOptions{DType: dtype}))
	return path, values
}

// network has a parameter for each of these shapes in the graph's layout.
func network(t *testing.T, shapes map[string][]int) gorgonia.Nodes {
	t.Helper()
	s := op.NewScope("network")
	for name, shape := range shapes {
		s.Param(name, shape...)
	}
	check(t, s.Err())
	return s.Params()
}

// Convolution weights change their order; everything else keeps it.
func TestBindLayouts(t *testing.T) {
	files := map[string][]int{
		"conv": {300, 37, 3, 2}, "wide": {5, 300, 1, 1}, "patches": {9, 3, 16, 16}, "linear": {6, 5},
		"bias": {7}, "class": {1, 1, 8},
	}
	graph := map[string][]int{
		"conv": {3, 2, 37, 300}, "wide": {1, 1, 300, 5}, "patches": {16, 16, 3, 9}, "linear": {6, 5},
		"bias": {7}, "class": {1, 1, 8},
	}
	for _, dtype := range []weights.DType{weights.Float32, weights.Float16, weights.BFloat16} {
		path, want := saved(t, dtype, files)
		s := open(t, path)
		params := network(t, graph)
		check(t, s.Bind(params, weights.Mapping{}))
		for _, n := range params {
			got, w := valuesOf(n), want[n.Name()]
			if d := files[n.Name()]; len(d) == 4 {
				w = make([]float32, len(got))
				for o := range d[0] {
					for i := range d[1] {
						for k := range d[2] * d[3] {
							w[(k*d[1]+i)*d[0]+o] = want[n.Name()][(o*d[1]+i)*d[2]*d[3]+k]
						}
					}
				}
			}
			if diff := cmp.Diff(w, got); diff != "" {
				t.Errorf("%v: %s (-want +got):\n%s", dtype, n.Name(), diff)
			}
		}
	}
}

// What the graph holds is saved as the file had it, for any size of a convolution.
func TestLayoutsRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		dim := func(name string, most int) int { return rapid.IntRange(1, most).Draw(r, name) }
		shape := []int{dim("O", 300), dim("I", 20), dim("KH", 5), dim("KW", 5)}
		dtype := rapid.SampledFrom([]weights.DType{weights.Float32, weights.Float16, weights.BFloat16}).Draw(r, "type")
		path, want := saved(t, dtype, map[string][]int{"conv": shape})
		s, err := weights.Open(path, weights.Options{})
		if err != nil {
			r.Fatal(err)
		}
		params := network(t, map[string][]int{"conv": {shape[2], shape[3], shape[1], shape[0]}})
		if err := s.Bind(params, weights.Mapping{}); err != nil {
			r.Fatal(err)
		}
		tensors, err := weights.FromParams(params)
		if err != nil {
			r.Fatal(err)
		}
		again := filepath.Join(filepath.Dir(path), "again.safetensors")
		if err := errors.Join(weights.Save(again, tensors, weights.SaveOptions{DType: dtype}), s.Close()); err != nil {
			r.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		after, _ := os.ReadFile(again)
		if len(before) == 0 || string(before) != string(after) {
			r.Fatalf("the files differ: %v", want)
		}
	})
}

// One tensor has one memory in all graphs, in the file itself where that is float32 already.
func TestBindSharesMemory(t *testing.T) {
	path, _ := saved(t, weights.Float32, map[string][]int{"conv": {4, 3, 3, 3}, "linear": {3, 5}})
	graph := map[string][]int{"conv": {3, 3, 3, 4}, "linear": {3, 5}}
	s := open(t, path)
	a, b := network(t, graph), network(t, graph)
	check(t, s.Bind(a, weights.Mapping{}))
	check(t, s.Bind(b, weights.Mapping{}))
	byName := func(nodes gorgonia.Nodes, name string) *gorgonia.Node {
		for _, n := range nodes {
			if n.Name() == name {
				return n
			}
		}
		t.Fatalf("no %s", name)
		return nil
	}
	for name := range graph {
		x, y := valuesOf(byName(a, name)), valuesOf(byName(b, name))
		if unsafe.SliceData(x) != unsafe.SliceData(y) {
			t.Errorf("%s: two graphs have copies", name)
		}
	}
	if runtime.GOOS == "linux" {
		maps, err := os.ReadFile("/proc/self/maps")
		check(t, err)
		begin := uintptr(unsafe.Pointer(unsafe.SliceData(valuesOf(byName(a, "linear")))))
		if where := mappingOf(string(maps), begin); !strings.HasSuffix(where, path) {
			t.Errorf("the linear layer's weight lies in %q, want it in the file", where)
		}
	}
}

// mappingOf returns the line of /proc/self/maps for an address.
func mappingOf(maps string, address uintptr) string {
	for line := range strings.Lines(maps) {
		var begin, end uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &begin, &end); err == nil && begin <= address && address < end {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// Training writes to parameters in place. The file must not change, and neither must neighbours when a parameter is
// released.
func TestWriteAndRelease(t *testing.T) {
	shapes := map[string][]int{"a": {1500, 3}, "b": {2000, 5}, "c": {900, 7}, "conv": {64, 32, 3, 3}}
	graph := map[string][]int{"a": {1500, 3}, "b": {2000, 5}, "c": {900, 7}, "conv": {3, 3, 32, 64}}
	path, want := saved(t, weights.Float32, shapes)
	before, err := os.ReadFile(path)
	check(t, err)
	s := open(t, path)
	params := network(t, graph)
	check(t, s.Bind(params, weights.Mapping{}))
	original := map[string][]float32{}
	for _, n := range params {
		original[n.Name()] = append([]float32{}, valuesOf(n)...)
		for i := range valuesOf(n) {
			valuesOf(n)[i] = float32(i)
		}
	}
	for _, name := range []string{"b", "conv"} {
		for i, n := range params {
			if n.Name() == name {
				check(t, s.Release(params[i:i+1]))
			}
		}
	}
	runtime.GC()
	for _, n := range params {
		if n.Name() != "a" && n.Name() != "c" {
			continue
		}
		for i, v := range valuesOf(n) {
			if v != float32(i) {
				t.Fatalf("%s[%d] = %g: a neighbour's release changed it", n.Name(), i, v)
			}
		}
	}
	addresses := map[string]*float32{}
	for _, n := range params {
		addresses[n.Name()] = unsafe.SliceData(valuesOf(n))
	}
	check(t, s.Release(params))
	again := network(t, graph)
	check(t, s.Bind(again, weights.Mapping{}))
	for _, n := range again {
		if unsafe.SliceData(valuesOf(n)) != addresses[n.Name()] {
			t.Errorf("%s: another address after its release", n.Name())
		}
		if diff := cmp.Diff(original[n.Name()], valuesOf(n)); diff != "" {
			t.Errorf("%s: not as in the file after its release: %s", n.Name(), diff)
		}
	}
	if diff := cmp.Diff(want["b"], original["b"]); diff != "" {
		t.Errorf("b (-want +got):\n%s", diff)
	}
	after, err := os.ReadFile(path)
	check(t, err)
	if string(before) != string(after) {
		t.Error("the file has changed")
	}
}

// Memory that another graph still has is not given back.
func TestReleaseOfShared(t *testing.T) {
	path, want := saved(t, weights.BFloat16, map[string][]int{"w": {3000, 3}})
	s := open(t, path)
	a, b := network(t, map[string][]int{"w": {3000, 3}}), network(t, map[string][]int{"w": {3000, 3}})
	check(t, s.Bind(a, weights.Mapping{}))
	check(t, s.Bind(b, weights.Mapping{}))
	check(t, s.Release(a))
	check(t, s.Release(a)) // what is released already is left alone
	if diff := cmp.Diff(want["w"], valuesOf(b[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Old files call the VAE's attention otherwise and have its layers as 1×1 convolutions; text encoders have integers
// besides.
func TestMapping(t *testing.T) {
	path, want := saved(t, weights.Float32, map[string][]int{
		"attn.query.weight": {6, 6, 1, 1}, "attn.query.bias": {6},
		"position_ids": {3},
	})
	s := open(t, path)
	params := network(t, map[string][]int{"attn.to_q.weight": {6, 6}, "attn.to_q.bias": {6}})
	m := weights.Mapping{
		Rename: func(name string) string { return strings.Replace(name, "query", "to_q", 1) },
		Ignore: func(name string) bool { return name == "position_ids" },
	}
	check(t, s.Bind(params, m))
	for _, n := range params {
		if diff := cmp.Diff(want[strings.Replace(n.Name(), "to_q", "query", 1)], valuesOf(n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", n.Name(), diff)
		}
	}
	m.Rename = func(string) string { return "same" }
	if err := s.Bind(params, m); err == nil || !strings.Contains(err.Error(), `"same"`) {
		t.Errorf("two tensors of one name: error %v", err)
	}
}

// One error tells everything that is wrong, and nothing is bound.
func TestMismatch(t *testing.T) {
	shapes := map[string][]int{"conv": {4, 3, 3, 3}, "linear": {3, 5}}
	for i := range 25 {
		shapes[fmt.Sprintf("extra.%02d", i)] = []int{1}
	}
	path, _ := saved(t, weights.Float32, shapes)
	s := open(t, path)
	params := network(t, map[string][]int{"conv": {3, 3, 8, 4}, "linear": {5, 3}, "bias": {3}})
	err := s.Bind(params, weights.Mapping{})
	var e *weights.MismatchError
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a MismatchError", err)
	}
	if len(e.Missing) != 1 || len(e.Surplus) != 25 || len(e.Misshaped) != 2 {
		t.Errorf("%d missing, %d surplus, %d misshaped, want 1, 25, 2", len(e.Missing), len(e.Surplus), len(e.Misshaped))
	}
	for _, part := range []string{
		path, "bias", "(25)", "extra.09", "15 more", "[4 3 3 3] in the file, want [4 8 3 3]",
		"[3 5] in the file, want [5 3]",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in the error:\n%v", part, err)
		}
	}
	if strings.Contains(err.Error(), "extra.10") {
		t.Errorf("the list is not cut:\n%v", err)
	}
	for _, n := range params {
		if n.Value() != nil {
			t.Errorf("%s is bound after all", n.Name())
		}
	}
}

// Numbers of 16 bits are rounded to nearest even, as IEEE 754 says, and what would become infinite is an error.
func TestRounding(t *testing.T) {
	for _, c := range []struct {
		dtype           weights.DType
		precision, emin int // significant bits, exponent of the smallest normal number
		largest         float64
	}{{weights.Float16, 11, -14, 65504}, {weights.BFloat16, 8, -126, 0x1.fep127}} {
		round := func(v float32) float64 {
			_, exponent := math.Frexp(float64(v))
			ulp := math.Ldexp(1, max(exponent-c.precision, c.emin-c.precision+1))
			return math.RoundToEven(float64(v)/ulp) * ulp // exact: the divisor is a power of two
		}
		folder := t.TempDir()
		save := func(values []float32) (string, error) {
			path := filepath.Join(folder, "x.safetensors")
			culprit := weights.NewTensor("culprit", []int{len(values)}, values)
			return path, weights.Save(path, []weights.Tensor{culprit}, weights.SaveOptions{DType: c.dtype})
		}
		rapid.Check(t, func(r *rapid.T) {
			bits := rapid.Uint32()
			small := rapid.Custom(func(r *rapid.T) uint32 { // near the range of float16
				return math.Float32bits(float32(math.Ldexp(float64(rapid.Int32().Draw(r, "n")),
					rapid.IntRange(-60, -10).Draw(r, "e"))))
			})
			var values []float32
			for _, u := range rapid.SliceOfN(rapid.OneOf(bits, small), 1, 200).Draw(r, "bits") {
				v := math.Float32frombits(u)
				if math.Abs(round(v)) <= c.largest {
					values = append(values, v)
				}
			}
			path, err := save(values)
			if err != nil {
				r.Fatal(err)
			}
			s, err := weights.Open(path, weights.Options{})
			if err != nil {
				r.Fatal(err)
			}
			got, _, err := s.Float32("culprit")
			if err := errors.Join(err, s.Close()); err != nil {
				r.Fatal(err)
			}
			for i, v := range values {
				want, g := round(v), float64(got[i])
				if g != want || math.Signbit(g) != math.Signbit(want) {
					r.Fatalf("%v of %g: %g, want %g", c.dtype, v, got[i], want)
				}
			}
		})
		_, exponent := math.Frexp(c.largest)
		tie := float32(c.largest + math.Ldexp(1, exponent-c.precision-1))
		for _, v := range []float32{tie, -tie, math.MaxFloat32} {
			if _, err := save([]float32{0, v}); err == nil || !strings.Contains(err.Error(), "culprit") {
				t.Errorf("%v of %g: error %v, want one that names the tensor", c.dtype, v, err)
			}
		}
		if _, err := save([]float32{math.Nextafter32(tie, 0)}); err != nil {
			t.Error(err)
		}
	}
}
