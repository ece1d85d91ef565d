package rng

// Torch is PyTorch's generator for the CPU, torch.Generator("cpu"). Its draws are those of ATen's templates for CPUs:
// DistributionsHelper.h, DistributionTemplates.h and the kernels of randperm.
type Torch struct {
	engine mt19937
	seed   uint64

	// The second normal of a pair, with which the next draw of fewer than 16 normals begins.
	cached    float64
	hasCached bool

	// Tensors on a CPU never use a cached float32, but a state from elsewhere may hold one, which is kept.
	cachedFloat    float32
	hasCachedFloat bool
}

// NewTorch is torch.Generator("cpu").manual_seed(seed). Only the lower 32 bits of the seed determine the numbers; all
// 64 are part of the saved state.
func NewTorch(seed int64) *Torch {
	t := &Torch{seed: uint64(seed)}
	t.engine.seed(uint32(seed))
	return t
}

// Uniform fills dst with uniform numbers in [low,high): uniform_(low, high) of a float32 tensor. Where rounding gives
// high, it is low.
func (t *Torch) Uniform(dst []float32, low, high float32) {
	t.engine.fill(dst)
	width := high - low
	for i, u := range dst {
		if dst[i] = float32(fused(float64(u)*float64(width), float64(low))); dst[i] == high {
			dst[i] = low
		}
	}
}

// Rand64 fills dst with uniform numbers in [0,1): torch.rand in float64.
func (t *Torch) Rand64(dst []float64) {
	for i := range dst {
		dst[i] = t.uniform64()
	}
}

// uniform64 draws a float64 in [0,1) from 53 bits.
func (t *Torch) uniform64() float64 {
	return float64(t.engine.uint64()&(1<<53-1)) * (1.0 / (1 << 53))
}

// wideRange is the smallest size of a range for which 64 bits are drawn, so that the remainder is nearly uniform.
const wideRange = 1 << 28

// RandInt draws an integer from low to high−1: one element of torch.randint(low, high). A tensor of n elements is n
// calls. An empty range gives low and draws nothing.
func (t *Torch) RandInt(low, high int64) int64 {
	if high <= low {
		return low
	}
	span := uint64(high) - uint64(low)
	if span >= wideRange {
		return low + int64(t.engine.uint64()%span)
	}
	return low + int64(uint64(t.engine.uint32())%span)
}
