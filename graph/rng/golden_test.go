package rng_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nlpodyssey/safetensors"

	"github.com/histdist/histdist/internal/golden"
)

// vectorTolerance bounds the difference between PyTorch's normals of 16 and more on processors with and without AVX2,
// as measured between its polynomials and the C library's functions.
const vectorTolerance = 4e-6

// libraryTolerance is some last bits of a float64 near 1: C libraries and Go round logarithms, sines and cosines
// differently.
const libraryTolerance = 2e-15

// reference is rng.safetensors: draws of PyTorch and NumPy.
type reference struct {
	tensors safetensors.SafeTensors
	avx2    bool
}

func open(t *testing.T) reference {
	t.Helper()
	buffer, err := os.ReadFile(golden.Path(t, "rng.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := safetensors.Deserialize(buffer)
	if err != nil {
		t.Fatal(err)
	}
	capability := golden.Open(t, "rng.safetensors").Metadata(t, "cpu_capability")
	return reference{tensors, capability == "AVX2"}
}

// names returns the names below prefix, without it.
func (r reference) names(t *testing.T, prefix string) []string {
	t.Helper()
	var names []string
	for _, name := range r.tensors.Names() {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			names = append(names, rest)
		}
	}
	if len(names) == 0 {
		t.Fatalf("no tensors below %q", prefix)
	}
	return names
}

func (r reference) view(t *testing.T, name string) safetensors.TensorView {
	t.Helper()
	view, ok := r.tensors.Tensor(name)
	if !ok {
		t.Fatalf("no tensor %q", name)
	}
	return view
}

func (r reference) shape(t *testing.T, name string) []int {
	t.Helper()
	var shape []int
	for _, n := range r.view(t, name).Shape() {
		shape = append(shape, int(n))
	}
	return shape
}

func (r reference) integers(t *testing.T, name string) []int64 {
	t.Helper()
	view := r.view(t, name)
	values := []int64{}
	for b := view.Data(); len(b) > 0; b = b[view.DType().Size():] {
		switch view.DType() {
		case safetensors.I64:
			values = append(values, int64(binary.LittleEndian.Uint64(b)))
		case safetensors.I32:
			values = append(values, int64(int32(binary.LittleEndian.Uint32(b))))
		default:
			t.Fatalf("%s is %v, not an integer", name, view.DType())
		}
	}
	return values
}

// floats returns the elements of a tensor of floating point numbers; every type is exact in float64.
func (r reference) floats(t *testing.T, name string) []float64 {
	t.Helper()
	view := r.view(t, name)
	values := []float64{}
	for b := view.Data(); len(b) > 0; b = b[view.DType().Size():] {
		switch view.DType() {
		case safetensors.F64:
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		case safetensors.F32:
			values = append(values, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		case safetensors.BF16:
			values = append(values, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b))<<16)))
		case safetensors.F16:
			values = append(values, float16(binary.LittleEndian.Uint16(b)))
		default:
			t.Fatalf("%s is %v, not a floating point number", name, view.DType())
		}
	}
	return values
}

// float16 decodes a finite float16.
func float16(bits uint16) float64 {
	exponent, mantissa := int(bits>>10&31), float64(bits&1023)
	v := math.Ldexp(1024+mantissa, exponent-25)
	if exponent == 0 {
		v = math.Ldexp(mantissa, -24)
	}
	if bits>>15 == 1 {
		v = -v
	}
	return v
}

// compareIntegers and compareFloats report every difference; the tolerance of floats is absolute, relative above 1.
func (r reference) compareIntegers(t *testing.T, name string, got []int64) {
	t.Helper()
	if diff := cmp.Diff(r.integers(t, name), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func (r reference) compareFloats(t *testing.T, name string, got []float64, tolerance float64) {
	t.Helper()
	compareFloats(t, name, r.floats(t, name), got, tolerance)
}

func compareFloats(t *testing.T, name string, want, got []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	outside := 0
	for i := range want {
		if d := math.Abs(got[i] - want[i]); !(d <= tolerance*max(1, math.Abs(want[i]))) {
			if outside++; outside == 1 {
				t.Errorf("%s: element %d is %v, want %v (off by %.3g, tolerance %.3g)", name, i, got[i], want[i], d, tolerance)
			}
		}
	}
	if outside > 1 {
		t.Errorf("%s: %d of %d elements are outside", name, outside, len(want))
	}
}

// manifest is what the tests need of rng.json.
type manifest struct {
	Seeds []json.Number `json:"seeds"`
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	text, err := os.ReadFile(golden.Path(t, "rng.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Seeds) == 0 {
		t.Fatal("rng.json has no seeds")
	}
	return m
}
