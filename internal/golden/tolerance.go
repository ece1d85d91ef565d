package golden

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tolerance says how far a float32 implementation may be from a golden quantity. It comes from the same computation
// in float32 and in float64: Atol is max(4 × MaxAbs, 1e-6 × max|want|) rounded up to 1, 2 or 5 × 10ⁿ, and Rtol the
// same relative to max|want| of the tensor (for gradients, relative to the larger of that and 1/100 of the largest
// gradient of the case).
type Tolerance struct {
	MaxAbs float64 `json:"max_abs"`
	MaxRel float64 `json:"max_rel"`
	Atol   float64 `json:"atol"`
	Rtol   float64 `json:"rtol"`
}

// gpu is how much further away a GPU may be than a processor: its products are summed in another order by libraries
// that promise none, and its exponentials, roots and divisions are off by up to two units in the last place where a
// processor's are exact to one half.
const gpu = 4

// Allowed is the tolerance for a subtest's device where a processor's is atol: networktest.EachDevice names subtests by
// their device.
func Allowed(t testing.TB, atol float64) float64 {
	if strings.Contains(t.Name()+"/", "/cuda:") {
		return gpu * atol
	}
	return atol
}

// Tolerance returns the tolerance of a quantity of this file, such as "resnet out", for the device of the subtest: the
// entry of the tolerances.json next to the file, so that data and tolerance are always of one set.
func (f *File) Tolerance(t testing.TB, quantity string) Tolerance {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(f.path), ".safetensors")
	return entry(t, filepath.Join(filepath.Dir(f.path), "tolerances.json"), name, quantity)
}

// ToleranceOf is the tolerance of a quantity of a golden file for another tensor of its kind, want, such as the states
// of another text: relative to its own largest value.
func ToleranceOf(t testing.TB, file, quantity string, want []float32) Tolerance {
	t.Helper()
	tolerance := entry(t, Path(t, "tolerances.json"), file, quantity)
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(float64(v)))
	}
	tolerance.Atol = tolerance.Rtol * largest
	return tolerance
}

func entry(t testing.TB, path, golden, quantity string) Tolerance {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("golden: %v", err)
	}
	var table map[string]map[string]Tolerance // golden file → quantity
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatalf("golden: %s: %v", path, err)
	}
	tolerance, ok := table[golden][quantity]
	if !ok {
		t.Fatalf("golden: %s: no quantity %q under %q", path, quantity, golden)
	}
	tolerance.Atol, tolerance.Rtol = Allowed(t, tolerance.Atol), Allowed(t, tolerance.Rtol)
	return tolerance
}

// Within reports an error unless max|got − want| ≤ Atol over all elements.
func Within[T float32 | float64](t testing.TB, got, want []T, tolerance Tolerance) {
	t.Helper()
	if err := within(got, want, tolerance, func(T) float64 { return 1 }); err != nil {
		t.Error(err)
	}
}

// WithinElementwise reports an error unless |got − want| ≤ Atol × max(1, |want|) for each element. The tolerances of
// silu, gelu and quick_gelu are measured so: these functions of single numbers keep their relative accuracy where they
// are large.
func WithinElementwise[T float32 | float64](t testing.TB, got, want []T, tolerance Tolerance) {
	t.Helper()
	if err := within(got, want, tolerance, func(want T) float64 { return max(1, math.Abs(float64(want))) }); err != nil {
		t.Error(err)
	}
}

// within compares |got − want| / size(want) with Atol and describes the element that is furthest off.
func within[T float32 | float64](got, want []T, tolerance Tolerance, size func(want T) float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("golden: %d elements, want %d", len(got), len(want))
	}
	worst, at, outside := 0.0, 0, 0
	for i := range want {
		difference := distance(float64(got[i]), float64(want[i]))
		if difference > 0 && !math.IsInf(difference, 1) {
			difference /= size(want[i])
		}
		if difference > tolerance.Atol {
			outside++
		}
		if difference > worst {
			worst, at = difference, i
		}
	}
	if outside == 0 {
		return nil
	}
	return fmt.Errorf("golden: off by %.3g at element %d of %d (got %v, want %v), tolerance %.3g; %d elements are outside",
		worst, at, len(want), got[at], want[at], tolerance.Atol, outside)
}

// distance is |a − b|; 0 where both are NaN or the same infinity, and infinite where only one of them is.
func distance(a, b float64) float64 {
	if a == b || (math.IsNaN(a) && math.IsNaN(b)) {
		return 0
	}
	d := math.Abs(a - b)
	if math.IsNaN(d) {
		return math.Inf(1)
	}
	return d
}
