package rng

// words is the size of the engine's state, n in the paper; middle is m.
const (
	words  = 624
	middle = 397
)

// mt19937 is the Mersenne Twister: Matsumoto and Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed
// uniform pseudo-random number generator", ACM TOMACS 8 (1998), with the seeding of their program mt19937ar.c of 2002.
type mt19937 struct {
	state [words]uint32
	next  int  // the index of the next word of state; words when all are used
	fresh bool // seeded and not drawn from: next is words, though none has been used
}

// seed is init_genrand.
func (m *mt19937) seed(seed uint32) {
	m.state[0] = seed
	for i := 1; i < words; i++ {
		previous := m.state[i-1]
		m.state[i] = 1812433253*(previous^previous>>30) + uint32(i)
	}
	m.next, m.fresh = words, true
}

// twist makes the next 624 words.
func (m *mt19937) twist() {
	s := &m.state
	for i := range words - middle {
		s[i] = s[i+middle] ^ mix(s[i], s[i+1])
	}
	for i := words - middle; i < words-1; i++ {
		s[i] = s[i+middle-words] ^ mix(s[i], s[i+1])
	}
	s[words-1] = s[middle-1] ^ mix(s[words-1], s[0])
	m.next, m.fresh = 0, false
}

// mix joins the upper bit of one word with the lower bits of the next and multiplies by the matrix A.
func mix(a, b uint32) uint32 {
	y := a&0x80000000 | b&0x7fffffff
	return y>>1 ^ -(y&1)&0x9908b0df
}

// temper turns a word of the state into a word of the output.
func temper(y uint32) uint32 {
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// uint32 draws one word.
func (m *mt19937) uint32() uint32 {
	if m.next == words {
		m.twist()
	}
	y := m.state[m.next]
	m.next++
	return temper(y)
}

// uint64 draws two words, the upper one first.
func (m *mt19937) uint64() uint64 {
	high := uint64(m.uint32())
	return high<<32 | uint64(m.uint32())
}

// skip passes over n words.
func (m *mt19937) skip(n int) {
	for n > 0 {
		if m.next == words {
			m.twist()
		}
		k := min(n, words-m.next)
		m.next += k
		n -= k
	}
}

// fill draws len(dst) numbers in [0,1) from the lower 24 bits of one word each.
func (m *mt19937) fill(dst []float32) {
	for len(dst) > 0 {
		if m.next == words {
			m.twist()
		}
		n := min(len(dst), words-m.next)
		for i, y := range m.state[m.next : m.next+n] {
			dst[i] = float32(temper(y)&(1<<24-1)) * (1.0 / (1 << 24))
		}
		m.next += n
		dst = dst[n:]
	}
}
