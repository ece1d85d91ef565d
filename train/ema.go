package train

// EMADecay is the decay of the moving average in an update counted from 1, 0 in the first: min(decay, k/(9+k)) for the k-th update
// before. It is that of diffusers' EMAModel, whose average forgets quickly at the beginning.
func EMADecay(decay float64, update int) float64 {
	k := float64(update - 1)
	if k <= 0 {
		return 0
	}
	return min(decay, (1+k)/(10+k))
}
