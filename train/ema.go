package train

// EMADecay is the moving average's decay in an update counted from 1, as in diffusers' EMAModel: 0 in the first, then
// min(decay, (1+k)/(10+k)) after k updates, so that the average forgets quickly at the beginning.
func EMADecay(decay float64, update int) float64 {
	k := float64(update - 1)
	if k <= 0 {
		return 0
	}
	return min(decay, (1+k)/(10+k))
}
