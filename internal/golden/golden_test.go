package golden_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nlpodyssey/safetensors"

	"github.com/histdist/histdist/internal/golden"
)

// recorder stands in for a test that is expected to fail or to be skipped.
type recorder struct {
	testing.TB
	outcome string // "", "error", "fatal" or "skip"
	message string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Name() string              { return "recorder" }
func (r *recorder) Error(args ...any)         { r.outcome, r.message = "error", fmt.Sprint(args...) }
func (r *recorder) Fatalf(f string, a ...any) { r.stop("fatal", fmt.Sprintf(f, a...)) }
func (r *recorder) Skipf(f string, a ...any)  { r.stop("skip", fmt.Sprintf(f, a...)) }

func (r *recorder) stop(outcome, message string) {
	r.outcome, r.message = outcome, message
	runtime.Goexit()
}

// record runs f as a test of its own and returns how it ended.
func record(f func(t testing.TB)) *recorder {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

// write makes a folder of golden data with one file of every type that can be read, and points HISTDIST_GOLDEN at it.
func write(t *testing.T) string {
	t.Helper()
	view := func(dtype safetensors.DType, shape []uint64, data ...byte) safetensors.TensorView {
		v, err := safetensors.NewTensorView(dtype, shape, data)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	buffer, err := safetensors.Serialize(map[string]safetensors.TensorView{
		"f32": view(safetensors.F32, []uint64{2, 1}, 0, 0, 128, 63, 0, 0, 0, 192),
		"f64": view(safetensors.F64, []uint64{1}, 0, 0, 0, 0, 0, 0, 4, 64),
		"i64": view(safetensors.I64, []uint64{1}, 254, 255, 255, 255, 255, 255, 255, 255),
		"u8":  view(safetensors.U8, []uint64{3, 1}, 7, 8, 255),
	}, map[string]string{"seed": "12", "sizes": "[3, 4]"})
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, content := range map[string][]byte{
		"made.safetensors":   buffer,
		"cut.safetensors":    buffer[:len(buffer)-1],
		"tolerances.json":    []byte(`{"made": {"f32 out": {"max_abs": 1e-7, "max_rel": 2e-7, "atol": 5e-7, "rtol": 1e-6}}}`),
		"blocks.safetensors": buffer, // hides the repository's
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HISTDIST_GOLDEN", folder)
	return folder
}

func TestOpenReadsEveryType(t *testing.T) {
	write(t)
	f := golden.Open(t, "made.safetensors")
	check := func(got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	check(f.Names(), []string{"f32", "f64", "i64", "u8"})
	check(f.Float32(t, "f32"), golden.Tensor[float32]{Shape: []int{2, 1}, Data: []float32{1, -2}})
	check(f.Float64(t, "f64"), golden.Tensor[float64]{Shape: []int{1}, Data: []float64{2.5}})
	check(f.Int64(t, "i64"), golden.Tensor[int64]{Shape: []int{1}, Data: []int64{-2}})
	check(f.Uint8(t, "u8"), golden.Tensor[uint8]{Shape: []int{3, 1}, Data: []uint8{7, 8, 255}})
	check([]bool{f.Has("u8"), f.Has("u9")}, []bool{true, false})
	check(f.DType(t, "i64"), "I64")
	check(f.Shape(t, "f32"), []int{2, 1})
	check(f.Metadata(t, "seed"), "12")
	var sizes []int
	f.MetadataJSON(t, "sizes", &sizes)
	check(sizes, []int{3, 4})
	check(f.Tolerance(t, "f32 out"), golden.Tolerance{MaxAbs: 1e-7, MaxRel: 2e-7, Atol: 5e-7, Rtol: 1e-6})
}

// A tensor that is not of the file has the tolerance of its kind relative to its own size.
func TestToleranceOfAnotherTensor(t *testing.T) {
	write(t)
	want := golden.Tolerance{MaxAbs: 1e-7, MaxRel: 2e-7, Atol: 4e-6, Rtol: 1e-6}
	if diff := cmp.Diff(want, golden.ToleranceOf(t, "made", "f32 out", []float32{1, -4, 2})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The test data of the engine are in the repository, so that nothing is skipped in a fresh clone.
func TestRepositoryHasBlocks(t *testing.T) {
	t.Setenv("HISTDIST_GOLDEN", "")
	r := record(func(t testing.TB) {
		f := golden.Open(t, "blocks.safetensors")
		var cases map[string]string
		f.MetadataJSON(t, "cases", &cases)
		for name := range cases {
			if !f.Has(name + "/out") {
				t.Fatalf("case %s has no output", name)
			}
			quantity := name + " out"
			if f.Has(name + "/out64") {
				quantity += " (reference f32 against f64)"
			}
			f.Tolerance(t, quantity)
		}
		if f.DType(t, "timesteps_16/out64") != "F64" || f.DType(t, "timesteps_16/in/t") != "I64" {
			t.Fatalf("types of timesteps_16: %s, %s", f.DType(t, "timesteps_16/out64"), f.DType(t, "timesteps_16/in/t"))
		}
	})
	if r.outcome != "" {
		t.Errorf("%s: %s", r.outcome, r.message)
	}
}

func TestFolders(t *testing.T) {
	folder := write(t)
	if got, want := golden.Path(t, "blocks.safetensors"), filepath.Join(folder, "blocks.safetensors"); got != want {
		t.Errorf("HISTDIST_GOLDEN does not come first: got %s", got)
	}
	t.Setenv("HISTDIST_GOLDEN", t.TempDir())
	if got := golden.Path(t, "blocks.safetensors"); !strings.HasSuffix(got,
		filepath.Join("testdata", "golden", "blocks.safetensors")) {
		t.Errorf("the repository's folder does not come second: got %s", got)
	}
}

func TestProblemsAreNamed(t *testing.T) {
	write(t)
	tests := []struct {
		name    string
		run     func(t testing.TB)
		outcome string
		message string
	}{
		{"file in no folder", func(t testing.TB) { golden.Open(t, "none.safetensors") }, "skip", "no none.safetensors in"},
		{"cut file", func(t testing.TB) { golden.Open(t, "cut.safetensors") }, "fatal", "cut.safetensors: metadata incomplete"},
		{"not a safetensors file", func(t testing.TB) { golden.Open(t, "tolerances.json") }, "fatal", "tolerances.json: header too large"},
		{"no tensor", func(t testing.TB) { golden.Open(t, "made.safetensors").Float32(t, "f33") }, "fatal", `no tensor "f33"`},
		{"wrong type", func(t testing.TB) { golden.Open(t, "made.safetensors").Float32(t, "f64") }, "fatal", `"f64" is F64, not F32`},
		{"no metadata", func(t testing.TB) { golden.Open(t, "made.safetensors").Metadata(t, "note") }, "fatal", `no metadata "note"`},
		{"no quantity", func(t testing.TB) { golden.Open(t, "made.safetensors").Tolerance(t, "f32 grad") }, "fatal", `no quantity "f32 grad" under "made"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := record(test.run)
			if r.outcome != test.outcome || !strings.Contains(r.message, test.message) {
				t.Errorf("got %s: %s, want %s: …%s…", r.outcome, r.message, test.outcome, test.message)
			}
		})
	}
	t.Run("wrong folder", func(t *testing.T) {
		t.Setenv("HISTDIST_GOLDEN", filepath.Join(t.TempDir(), "gone"))
		r := record(func(t testing.TB) { golden.Path(t, "blocks.safetensors") })
		if r.outcome != "fatal" || !strings.Contains(r.message, "is not a folder") {
			t.Errorf("got %s: %s", r.outcome, r.message)
		}
	})
}

func TestWithin(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tolerance := golden.Tolerance{Atol: 0.25}
	tests := []struct {
		name        string
		got, want   []float32
		within      bool
		elementwise bool
	}{
		{"equal", []float32{1, 2}, []float32{1, 2}, true, true},
		{"at the bound", []float32{1.25, 2}, []float32{1, 2}, true, true},
		{"beyond the bound", []float32{1.5, 2}, []float32{1, 2}, false, false},
		{"large elements", []float32{101}, []float32{100}, false, true},
		{"small elements", []float32{0.5}, []float32{0.125}, false, false},
		{"lengths", []float32{1}, []float32{1, 2}, false, false},
		{"empty", nil, nil, true, true},
		{"NaN alike", []float32{nan}, []float32{nan}, true, true},
		{"NaN got", []float32{nan}, []float32{1}, false, false},
		{"NaN wanted", []float32{1}, []float32{nan}, false, false},
		{"infinity alike", []float32{inf}, []float32{inf}, true, true},
		{"infinity got", []float32{inf}, []float32{1}, false, false},
		{"infinity wanted", []float32{1}, []float32{inf}, false, false},
		{"infinity of the other sign", []float32{-inf}, []float32{inf}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := record(func(t testing.TB) { golden.Within(t, test.got, test.want, tolerance) })
			if (r.outcome == "") != test.within {
				t.Errorf("Within: %q %s", r.outcome, r.message)
			}
			r = record(func(t testing.TB) { golden.WithinElementwise(t, test.got, test.want, tolerance) })
			if (r.outcome == "") != test.elementwise {
				t.Errorf("WithinElementwise: %q %s", r.outcome, r.message)
			}
		})
	}
}

func TestLayouts(t *testing.T) {
	x := golden.Tensor[int64]{Shape: []int{1, 2, 2, 3}, Data: []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}
	tests := []struct {
		name      string
		got, want golden.Tensor[int64]
	}{
		{"NHWC", golden.NHWC(x), golden.Tensor[int64]{Shape: []int{1, 2, 3, 2}, Data: []int64{0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}}},
		{"HWIO", golden.HWIO(x), golden.Tensor[int64]{Shape: []int{2, 3, 2, 1}, Data: []int64{0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, test.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	// Every axis counts: element [n,c,h,w] of the one is element [n,h,w,c] of the other.
	x = golden.Tensor[int64]{Shape: []int{2, 3, 4, 5}, Data: make([]int64, 120)}
	for i := range x.Data {
		x.Data[i] = int64(i)
	}
	y, w := golden.NHWC(x), golden.HWIO(x)
	for n := range 2 {
		for c := range 3 {
			for h := range 4 {
				for v := range 5 {
					want := int64(((n*3+c)*4+h)*5 + v)
					if got := y.Data[((n*4+h)*5+v)*3+c]; got != want {
						t.Fatalf("NHWC [%d %d %d %d]: %d, want %d", n, h, v, c, got, want)
					}
					if got := w.Data[((h*5+v)*3+c)*2+n]; got != want {
						t.Fatalf("HWIO [%d %d %d %d]: %d, want %d", h, v, c, n, got, want)
					}
				}
			}
		}
	}
}

func TestAllowed(t *testing.T) {
	for device, want := range map[string]float64{"cpu": 0.5, "ref": 0.5, "cuda:0": 2} {
		t.Run(device, func(t *testing.T) {
			t.Run("a case", func(t *testing.T) {
				if got := golden.Allowed(t, 0.5); got != want {
					t.Errorf("%v on %s, want %v", got, device, want)
				}
			})
		})
	}
}
