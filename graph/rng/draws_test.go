package rng

import "math"

// Draws of PyTorch that the program doesn't make, but the golden chains of draws do between those that it makes.

// Rand fills dst with uniform numbers in [0,1): torch.rand in float32.
func (t *Torch) Rand(dst []float32) { t.engine.fill(dst) }

// Int63 draws an integer from 0 to 2⁶³−1: one element of random_() of an int64 tensor. A DataLoader draws one for an
// epoch's workers and one to seed the epoch's order.
func (t *Torch) Int63() int64 { return int64(t.engine.uint64() & (1<<63 - 1)) }

// RandPerm returns the numbers 0 … n−1 in random order: torch.randperm. n must be below 2³²/20, some 215 million; from
// there on PyTorch uses another algorithm, which this isn't.
func (t *Torch) RandPerm(n int) []int {
	p := make([]int, max(n, 0))
	for i := range p {
		p[i] = i
	}
	for i := range n - 1 {
		j := i + int(t.engine.uint32())%(n-i)
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// Bernoulli is true with probability p: one element of bernoulli_(p), where p is a number.
func (t *Torch) Bernoulli(p float64) bool { return t.uniform64() < p }

// BernoulliTensor is true with probability p: one element of torch.bernoulli(p), where p is a float32 tensor.
func (t *Torch) BernoulliTensor(p float32) bool {
	var u [1]float32
	t.engine.fill(u[:])
	return u[0] < p
}

// Randn64 fills dst with normal numbers of mean 0 and standard deviation 1: torch.randn(len(dst)) in float64.
func (t *Torch) Randn64(dst []float64) {
	if len(dst) < block {
		for i := range dst {
			dst[i] = t.normal64()
		}
		return
	}
	t.Rand64(dst)
	for i := 0; i+block <= len(dst); i += block {
		boxMuller64((*[block]float64)(dst[i:]))
	}
	if len(dst)%block != 0 {
		last := dst[len(dst)-block:]
		t.Rand64(last)
		boxMuller64((*[block]float64)(last))
	}
}

// boxMuller64 turns 16 uniform numbers into 16 normal ones.
func boxMuller64(x *[block]float64) {
	for j := range block / 2 {
		radius := math.Sqrt(-2 * math.Log(1-x[j]))
		sin, cos := math.Sincos(2 * math.Pi * x[j+block/2])
		x[j], x[j+block/2] = radius*cos, radius*sin
	}
}

// Half is a 16-bit type of a tensor. The draws for it are returned as float32 numbers that the type can hold.
type Half int

// The 16-bit types of PyTorch.
const (
	BFloat16 Half = iota
	Float16
)

// RandHalf fills dst with uniform numbers in [0,1): torch.rand in bfloat16 or float16. A number that rounding makes 1
// is 0.
func (t *Torch) RandHalf(dst []float32, half Half) {
	t.engine.fill(dst)
	for i, u := range dst {
		if dst[i] = half.round(u); dst[i] == 1 {
			dst[i] = 0
		}
	}
}

// RandnHalf fills dst with normal numbers of mean 0 and standard deviation 1: torch.randn in bfloat16 or float16. Where
// len(dst) is below 16 or a multiple of 16 these are the rounded numbers of Randn; otherwise Randn draws len(dst) words
// and then 16 for the last 16 numbers, but RandnHalf draws the words of whole blocks only, and then those 16.
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
