package finite_test

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/internal/finite"
)

func TestTheFirstValueThatIsNoneIsNamed(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := map[string]struct {
		values []float32
		limit  int
		want   string
	}{
		"none":                {nil, finite.Any, ""},
		"numbers":             {[]float32{0, -1, math.MaxFloat32, math.SmallestNonzeroFloat32}, finite.Any, ""},
		"NaN":                 {[]float32{1, nan, inf}, finite.Any, "bias: value 1 is NaN: not finite"},
		"a NaN with a sign":   {[]float32{float32(math.Copysign(math.NaN(), -1))}, finite.Squares, "bias: value 0 is NaN: not finite"},
		"infinity":            {[]float32{0, 1, inf}, finite.Any, "bias: value 2 is +Inf: not finite"},
		"negative infinity":   {[]float32{-inf}, finite.Squares, "bias: value 0 is -Inf: not finite"},
		"becomes infinite":    {[]float32{2, -1e30}, finite.Squares, "bias: value 1 is -1e+30: too large"},
		"has a finite square": {[]float32{1.8e19, -1.8e19}, finite.Squares, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got string
			if err := finite.Check("bias", test.values, test.limit); err != nil {
				got = err.Error()
				if !errors.Is(err, finite.Err) {
					t.Errorf("%v wraps no finite.Err", err)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIndexIsTheFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Float32()).Draw(t, "values")
		want := -1
		for i, v := range values {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				want = i
				break
			}
		}
		if got := finite.Index(values, finite.Any); got != want {
			t.Errorf("index %d, want %d", got, want)
		}
	})
}
