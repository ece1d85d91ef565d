package jpeg

import "golang.org/x/sys/cpu"

// hasVectors reports whether forwardVectors and convertVectors work on this processor.
func hasVectors() bool { return cpu.X86.HasAVX2 }

// forwardVectors is forward without the places of zeros: bit 8·row + column is set where a coefficient becomes 0.
func (q *quantiser) forwardVectors(b *block, samples []uint64, stride int) (zeros uint64) {
	_ = samples[3*stride+7]
	return forwardAVX2(b, &samples[0], stride, &q.bias, &q.span)
}

//go:noescape
func forwardAVX2(b *block, samples *uint64, stride int, bias, span *block) (zeros uint64)

// convertVectors is convert for the first pixels, and returns of how many.
func convertVectors(luma, cb, cr []uint64, upper, lower []uint8) int {
	groups := (min(len(upper), len(lower)) - 4) / 12 // of four pixels; 16 bytes are read for 12
	groups = min(groups, len(luma)/4, len(cb)/4, len(cr)/4)
	if groups < 1 {
		return 0
	}
	convertAVX2(&luma[0], &cb[0], &cr[0], &upper[0], &lower[0], groups)
	return 4 * groups
}

//go:noescape
func convertAVX2(luma, cb, cr *uint64, upper, lower *uint8, groups int)
