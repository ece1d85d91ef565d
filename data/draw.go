package data

import "math/bits"

// draws is a stream of random numbers that depends on its keys alone: SplitMix64 (Steele, Lea and Flood 2014), seeded
// with a mix of the keys. Changing it changes the order and crops of old seeds.
type draws struct{ state uint64 }

func newDraws(keys ...uint64) draws {
	d := draws{}
	for _, key := range keys {
		d.state = d.next() ^ key
	}
	return d
}

func (d *draws) next() uint64 {
	d.state += 0x9E3779B97F4A7C15
	z := d.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// below draws a number of 0 … n−1, n > 0. The bias of n/2⁶⁴ is of no account here.
func (d *draws) below(n int) int {
	high, _ := bits.Mul64(d.next(), uint64(n))
	return int(high)
}

// The first key of each stream keeps the streams apart.
const (
	drawsOrder = iota + 1
	drawsAugmentation
	drawsSplit
	drawsShares
	drawsShare // one stream for each share: this and its number
)

// orderOf is the order of n pairs: 0 … n−1, or a Fisher–Yates permutation by a stream, a seed and how often they have
// come before.
func orderOf(n int, shuffle bool, stream int, seed int64, turn int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if shuffle {
		d := newDraws(uint64(stream), uint64(seed), uint64(turn))
		d.shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return order
}

func (d *draws) shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, d.below(i+1))
	}
}
