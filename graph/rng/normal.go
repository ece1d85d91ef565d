package rng

import (
	"fmt"
	"math"
)

// PyTorch draws normal numbers in two ways, both by Box and Muller ("A note on the generation of random normal
// deviates", 1958):
//
//   - fewer than 16, one at a time: pairs in float64; the second number of a pair is kept for the next small draw;
//   - 16 or more, in blocks of eight pairs of float32, with functions of its own. cephes.go repeats what PyTorch's
//     kernels for AVX2 do, including every fused multiply-add, so that the numbers have the same bits.

// block is the number of normals that PyTorch draws together, in tensors of at least as many.
const block = 16

// Randn fills dst with normal numbers of mean 0 and standard deviation 1: torch.randn(len(dst)) in float32.
func (t *Torch) Randn(dst []float32) { t.Normal(dst, 0, 1) }

// SkipRandn passes over what Randn would fill n numbers with, in a thirtieth of the time.
func (t *Torch) SkipRandn(n int) {
	if n < block {
		for range n {
			t.normal64()
		}
		return
	}
	t.engine.skip(n)
	if n%block != 0 {
		t.engine.skip(block)
	}
}

// RandnNHWC fills dst, an [N,H,W,C] tensor, with the numbers that torch.randn([N,C,H,W]) has at the same places.
func (t *Torch) RandnNHWC(dst []float32, n, h, w, c int) error {
	if len(dst) != n*h*w*c {
		return fmt.Errorf("random normal: %d elements for shape [%d %d %d %d]", len(dst), n, h, w, c)
	}
	plane := h * w
	draw := make([]float32, len(dst))
	t.Randn(draw)
	for i := range n {
		for j := range c {
			for p, v := range draw[(i*c+j)*plane : (i*c+j+1)*plane] {
				dst[(i*plane+p)*c+j] = v
			}
		}
	}
	return nil
}

// Normal fills dst with normal numbers: normal_(mean, std) of a contiguous float32 tensor. For a PyTorch tensor that
// isn't contiguous, call it for each element, in the order of memory.
func (t *Torch) Normal(dst []float32, mean, std float64) {
	if len(dst) < block {
		for i := range dst {
			dst[i] = float32(float64(t.normal64()*std) + mean)
		}
		return
	}
	t.engine.fill(dst)
	for i := 0; i+block <= len(dst); i += block {
		boxMuller((*[block]float32)(dst[i:]), float32(mean), float32(std))
	}
	if len(dst)%block != 0 { // the last 16 are drawn again
		last := dst[len(dst)-block:]
		t.engine.fill(last)
		boxMuller((*[block]float32)(last), float32(mean), float32(std))
	}
}

// normal64 draws one normal number in float64.
func (t *Torch) normal64() float64 {
	if t.hasCached {
		z := t.cached
		t.cached, t.hasCached = 0, false
		return z
	}
	u1, u2 := t.uniform64(), t.uniform64()
	radius := math.Sqrt(-2 * math.Log1p(-u2))
	sin, cos := math.Sincos(2 * math.Pi * u1)
	t.cached, t.hasCached = radius*sin, true
	return radius * cos
}

// boxMuller turns 16 uniform numbers in [0,1) into 16 normal ones.
func boxMuller(x *[block]float32, mean, std float32) {
	for i := range block / 2 {
		radius := float32(math.Sqrt(float64(-2 * log(1-x[i]))))
		sin, cos := sincos(float32(2*math.Pi) * x[block/2+i])
		x[i] = float32(fused(float64(radius*cos)*float64(std), float64(mean)))
		x[block/2+i] = float32(fused(float64(radius*sin)*float64(std), float64(mean)))
	}
}
