package rng

import "math/bits"

// Python is random.Random of Python 3.
type Python struct{ engine mt19937 }

// NewPython is random.Random(seed). As in Python, a seed and its negative give the same numbers.
func NewPython(seed int64) *Python {
	magnitude := uint64(seed)
	if seed < 0 {
		magnitude = -magnitude
	}
	key := []uint32{uint32(magnitude)}
	if high := uint32(magnitude >> 32); high != 0 {
		key = append(key, high)
	}
	p := &Python{}
	p.engine.seedArray(key)
	return p
}

// Random draws a number in [0,1): random().
func (p *Python) Random() float64 { return p.engine.float53() }

// Bits draws an integer of k bits, k from 0 to 64: getrandbits(k).
func (p *Python) Bits(k int) uint64 {
	switch {
	case k <= 0:
		return 0
	case k <= 32:
		return uint64(p.engine.uint32() >> (32 - k))
	default:
		low := uint64(p.engine.uint32())
		return uint64(p.engine.uint32()>>max(64-k, 0))<<32 | low
	}
}

// Choice draws an index from 0 to n−1: choice of a sequence of n elements, and randrange(n). Where n is below 1 it is 0 and
// draws nothing.
func (p *Python) Choice(n int) int {
	if n < 1 {
		return 0
	}
	k := bits.Len(uint(n))
	for {
		if i := p.Bits(k); i < uint64(n) {
			return int(i)
		}
	}
}

// Shuffle puts n elements in random order by swapping pairs of them: shuffle.
func (p *Python) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, p.Choice(i+1))
	}
}
