package rng

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// fused, once rounded, is the exact a·b+c rounded once to float32. Its sums seldom lie halfway between two float32, and
// no draw shows whether it is right there; hence a test of its own.
func TestFusedProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// An odd 25-bit product lies halfway between two float32; a small c then decides, often below float64's last place.
		odd := rapid.IntRange(1<<11, 1<<12-1)
		a, b := float32(2*odd.Draw(t, "a")+1), float32(2*odd.Draw(t, "b")+1)
		if rapid.Bool().Draw(t, "negative") {
			a = -a
		}
		c := float32(math.Ldexp(rapid.Float64Range(-2, 2).Draw(t, "c"), rapid.IntRange(-60, 24).Draw(t, "exponent")))
		exact := new(big.Float).SetPrec(500).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
		exact.Add(exact, big.NewFloat(float64(c)))
		want, _ := exact.Float32()
		if got := float32(fused(float64(a)*float64(b), float64(c))); got != want {
			t.Fatalf("%v·%v + %v = %v, want %v", a, b, c, got, want)
		}
	})
}
