package rng

// Torch is PyTorch's generator for the CPU, torch.Generator("cpu"). Its draws are those of ATen's templates for CPUs:
// DistributionsHelper.h, DistributionTemplates.h and the kernels of randperm.
type Torch struct {
	engine mt19937
	seed   uint64

	// The second normal of a pair that the next draw of fewer than 16 normals begins with.
	cached    float64
	hasCached bool

	// Tensors on a CPU never use a cached float32, but a state from elsewhere may hold one, which is handed on.
	cachedFloat    float32
	hasCachedFloat bool
}

// NewTorch is torch.Generator("cpu").manual_seed(seed). Only the lower 32 bits of the seed choose the numbers; all 64 are part of
// the saved state.
func NewTorch(seed int64) *Torch {
	t := &Torch{seed: uint64(seed)}
	t.engine.seed(uint32(seed))
	return t
}

// Rand fills dst with uniform numbers in [0,1): torch.rand in float32.
func (t *Torch) Rand(dst []float32) { t.engine.fill(dst) }

// Uniform fills dst with uniform numbers in [low,high): uniform_(low, high) of a float32 tensor. Where rounding gives high,
// it is low.
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

// wideRange is the size of a range from which on 64 bits are drawn for an integer, so that the remainder is nearly uniform.
const wideRange = 1 << 28

// RandInt draws an integer from low to high−1: one element of torch.randint(low, high). A tensor of n elements is n calls.
// An empty range gives low and draws nothing.
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

// Int63 draws an integer from 0 to 2⁶³−1: one element of random_() of an int64 tensor. A DataLoader draws one for an epoch's
// workers and one to seed the epoch's order.
func (t *Torch) Int63() int64 { return int64(t.engine.uint64() & (1<<63 - 1)) }

// RandPerm returns the numbers 0 … n−1 in random order: torch.randperm. n must be below 2³²/20, some 215 million; from there on
// PyTorch uses another algorithm, which this isn't.
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
