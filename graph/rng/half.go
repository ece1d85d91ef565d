package rng

import "math"

// Half is a 16-bit type of a tensor. The draws for it are returned as float32 numbers that the type can hold.
type Half int

// The 16-bit types of PyTorch.
const (
	BFloat16 Half = iota
	Float16
)

// RandHalf fills dst with uniform numbers in [0,1): torch.rand in bfloat16 or float16. A number that rounding makes 1 is 0.
func (t *Torch) RandHalf(dst []float32, half Half) {
	t.engine.fill(dst)
	for i, u := range dst {
		if dst[i] = half.round(u); dst[i] == 1 {
			dst[i] = 0
		}
	}
}

// RandnHalf fills dst with normal numbers of mean 0 and standard deviation 1: torch.randn in bfloat16 or float16. Where len(dst)
// is below 16 or a multiple of 16 these are the rounded numbers of Randn; otherwise Randn draws len(dst) words and then 16 for
// the last 16 numbers, but RandnHalf draws the words of whole blocks only, and then those 16.
func (t *Torch) RandnHalf(dst []float32, half Half) {
	if len(dst) < block {
		t.Randn(dst)
	} else {
		whole := len(dst) / block * block
		t.Randn(dst[:whole])
		if whole < len(dst) {
			t.Randn(dst[len(dst)-block:])
		}
	}
	for i, z := range dst {
		dst[i] = half.round(z)
	}
}

// round rounds x to the nearest number of the type, halves to even.
func (h Half) round(x float32) float32 {
	dropped := 16 // bits of float32's mantissa
	if h == Float16 {
		if math.Abs(float64(x)) < 1.0/(1<<14) { // below the smallest normal number: a multiple of 2⁻²⁴, the last place of 0.5
			y := float32(math.Abs(float64(x))) + 0.5
			return float32(math.Copysign(float64(y-0.5), float64(x)))
		}
		dropped = 13
	}
	bits := math.Float32bits(x)
	bits += 1<<(dropped-1) - 1 + bits>>dropped&1
	return math.Float32frombits(bits &^ (1<<dropped - 1))
}
