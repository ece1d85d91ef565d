package data

// epochOrder is the order of n pairs in an epoch: 0 … n−1, or a Fisher–Yates permutation by seed and epoch.
func epochOrder(n int, shuffle bool, seed int64, epoch int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if shuffle {
		d := newDraws(drawsOrder, uint64(seed), uint64(epoch))
		d.shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	return order
}

func (d *draws) shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, d.below(i+1))
	}
}
