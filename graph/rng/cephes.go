package rng

import "math"

// PyTorch's functions of vectors of eight float32, number by number: log256_ps and sincos256_ps of its avx_mathfun.h,
// which are Cephes' logf, sinf and cosf. As GCC does there, products are fused with the sums that they go into.
// Variables are float64 that hold float32 numbers.

// The coefficients have Cephes' names. They are float32 numbers.
const (
	sqrtHalf float32 = 0.707106781186547524

	logP0 = float64(float32(7.0376836292e-2))
	logP1 = float64(float32(-1.1514610310e-1))
	logP2 = float64(float32(1.1676998740e-1))
	logP3 = float64(float32(-1.2420140846e-1))
	logP4 = float64(float32(1.4249322787e-1))
	logP5 = float64(float32(-1.6668057665e-1))
	logP6 = float64(float32(2.0000714765e-1))
	logP7 = float64(float32(-2.4999993993e-1))
	logP8 = float64(float32(3.3333331174e-1))
	logQ1 = float64(float32(-2.12194440e-4)) // logQ1 + logQ2 = ln 2
	logQ2 = float64(float32(0.693359375))

	dp1 = float64(float32(-0.78515625)) // dp1 + dp2 + dp3 = −π/4
	dp2 = float64(float32(-2.4187564849853515625e-4))
	dp3 = float64(float32(-3.77489497744594108e-8))

	cosP0 = float64(float32(2.443315711809948e-5))
	cosP1 = float64(float32(-1.388731625493765e-3))
	cosP2 = float64(float32(4.166664568298827e-2))

	sinP0 = float64(float32(-1.9515295891e-4))
	sinP1 = float64(float32(8.3321608736e-3))
	sinP2 = float64(float32(-1.6666654611e-1))
)

// log is the natural logarithm of x, a multiple of 2⁻²⁴ in (0,1]. It has no branches that depend on x, which a
// processor can't predict.
func log(x float32) float32 {
	bits := math.Float32bits(x)
	mantissa := bits&0x7fffff | 0x3f000000                    // of a number in [0.5,1)
	small := int32(mantissa-math.Float32bits(sqrtHalf)) >> 31 // −1 below √½, else 0
	e := float64(int32(bits>>23) - 126 + small)
	v := float64(math.Float32frombits(mantissa) - 1 + math.Float32frombits(mantissa&uint32(small)))
	z := single(v * v)
	y := single(fused(logP0*v, logP1))
	y = single(fused(y*v, logP2))
	y = single(fused(y*v, logP3))
	y = single(fused(y*v, logP4))
	y = single(fused(y*v, logP5))
	y = single(fused(y*v, logP6))
	y = single(fused(y*v, logP7))
	y = single(fused(y*v, logP8))
	y = single(fused(single(y*v)*z, single(e*logQ1)))
	y = single(y - z*0.5)
	return float32(e*logQ2 + single(v+y)) // float64 holds this sum exactly, since x is a multiple of 2⁻²⁴
}

// sincos is the sine and the cosine of x in [0,8192).
func sincos(x float32) (sin, cos float32) {
	octant := (uint32(x*(4/math.Pi)) + 1) &^ 1
	y := float64(octant)
	v := single(fused(y*dp1, float64(x)))
	v = single(fused(y*dp2, v))
	v = single(fused(y*dp3, v))
	z := single(v * v)
	c := single(fused(cosP0*z, cosP1))
	c = single(fused(c*z, cosP2))
	c = single(fused(single(c*z)*z, -0.5*z))
	s := single(fused(sinP0*z, sinP1))
	s = single(fused(s*z, sinP2))
	sinBits := math.Float32bits(float32(fused(single(s*z)*v, v)))
	cosBits := math.Float32bits(float32(c) + 1)
	swap := (sinBits ^ cosBits) & -(octant >> 1 & 1)
	sinBits ^= swap ^ octant<<29&(1<<31)
	cosBits ^= swap ^ (octant+2)<<29&(1<<31)
	return math.Float32frombits(sinBits), math.Float32frombits(cosBits)
}

// single rounds to float32.
func single(x float64) float64 { return float64(float32(x)) }

// fused is p+c, where p is the product of two float32, which float64 holds exactly, and c is a float32: a fused
// multiply-add of float32, once the caller rounds it. Rounding to 53 bits and then to 24 is wrong only if the first
// result is halfway between two float32. It is small enough to be inlined, which makes normals 1.5× faster.
func fused(p, c float64) (s float64) {
	if s = p + c; math.Float64bits(s)<<35 != 1<<63 {
		return
	}
	return halfway(p, c)
}

// halfway is p+c; if that isn't exact, the next float64 in the direction of the exact sum.
func halfway(p, c float64) float64 {
	s := p + c
	t := s - p
	if lost := (p - (s - t)) + (c - t); lost != 0 { // Knuth's two-sum: p+c = s+lost
		return math.Nextafter(s, math.Inf(int(math.Copysign(1, lost))))
	}
	return s
}
