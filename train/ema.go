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

// average moves the averages by one update towards the parameters: a ← a − (1 − decay)·(a − p). With the two weights decay and
// 1 − decay instead, whose float32 values don't add up to 1, an average at 0.9999 would be off by up to 3e-4 of its value.
func (s *state) average(decay float64) {
	weight := float32(1 - decay)
	s.each(func(a *array, from, to int) {
		p, average := a.parts[Parameters][from:to], a.parts[Averages][from:to]
		for i, x := range average {
			average[i] = x - float32(weight*(x-p[i])) // rounded twice on every processor
		}
	})
}
