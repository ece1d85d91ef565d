package data

// A loader of several sets draws them in parts that don't depend on their sizes. An epoch has as many pairs as all sets
// together; each share has a fixed number of them, and which share comes when is a new order each epoch. A share goes
// through its pairs in orders of its own, one after the other, over the borders of epochs: a small one is seen several
// times in an epoch, with other crops each time, a large one in parts. All of it depends on seed and epoch alone.

// Share is a part of a data set: its next so many pairs, and its weight against the other parts.
type Share struct {
	Pairs  int
	Weight float64 // above 0
}

// drawn is a pair in an epoch's order: its place in the data set, and how often it has come before.
type drawn struct{ index, turn int }

func pairsOf(shares []Share) (n int) {
	for _, s := range shares {
		n += s.Pairs
	}
	return n
}

// order is that of an epoch.
func (l *Loader) order(epoch int) []drawn {
	n := len(l.pairs)
	order := make([]drawn, 0, n)
	if l.o.Shares == nil {
		for _, index := range orderOf(n, l.o.Shuffle, drawsOrder, l.o.Seed, epoch) {
			order = append(order, drawn{index, epoch})
		}
		return order
	}
	quotas := Quotas(l.o.Shares)
	var slots []int // the share of each place
	for k, quota := range quotas {
		for range quota {
			slots = append(slots, k)
		}
	}
	if l.o.Shuffle {
		d := newDraws(drawsShares, uint64(l.o.Seed), uint64(epoch))
		d.shuffle(len(slots), func(i, j int) { slots[i], slots[j] = slots[j], slots[i] })
	}
	next := make([]shareOrder, len(quotas))
	first := 0
	for k, s := range l.o.Shares {
		next[k] = shareOrder{first: first, pairs: s.Pairs, count: epoch * quotas[k], number: k, turn: -1}
		first += s.Pairs
	}
	for _, k := range slots {
		order = append(order, next[k].draw(l.o.Shuffle, l.o.Seed))
	}
	return order
}

// shareOrder is where a share is in its pairs.
type shareOrder struct {
	first, pairs int // places in the data set
	count        int // pairs drawn so far
	number       int
	turn         int // that permutation is of; −1: none yet
	permutation  []int
}

func (s *shareOrder) draw(shuffle bool, seed int64) drawn {
	if turn := s.count / s.pairs; turn != s.turn {
		s.turn, s.permutation = turn, orderOf(s.pairs, shuffle, drawsShare+s.number, seed, turn)
	}
	at := s.count % s.pairs
	s.count++
	return drawn{s.first + s.permutation[at], s.turn}
}

// Quotas are how many pairs of an epoch each share has, by the method of the largest remainder; of equal remainders the
// first is the largest.
func Quotas(shares []Share) []int {
	n, sum := pairsOf(shares), 0.0
	for _, s := range shares {
		sum += s.Weight
	}
	quotas, rest, left := make([]int, len(shares)), make([]float64, len(shares)), n
	for k, s := range shares {
		exact := float64(float64(n) * (s.Weight / sum)) // rounded, on every processor
		quotas[k] = int(exact)
		rest[k] = exact - float64(quotas[k])
		left -= quotas[k]
	}
	for ; left > 0; left-- {
		most := 0
		for k := range rest {
			if rest[k] > rest[most] {
				most = k
			}
		}
		quotas[most]++
		rest[most] = -1
	}
	return quotas
}
