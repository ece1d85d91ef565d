package pillow

import "math"

// precision is the number of fractional bits of a weight: 32 less 8 of the pixel and 2 for sums below 0 and above 1.
const precision = 32 - 8 - 2

// weights resamples an axis: output i is the sum of the source pixels first[i], first[i]+1, … weighted by taps(i).
type weights struct {
	first []int
	count []int
	fixed []uint64 // [outputs, stride] fixed-point numbers, sign-extended; those beyond count are unused
	// stride is the largest possible count.
	stride int
}

// taps returns the first source pixel of output i and the weights from there on.
func (w *weights) taps(i int) (int, []uint64) {
	return w.first[i], w.fixed[i*w.stride:][:w.count[i]]
}

// newWeights is Pillow's precompute_coeffs and normalize_coeffs_8bpc for the part of an axis from one place to another.
func newWeights(in int, from, to float64, out int, k kernel) *weights {
	scale := (to - from) / float64(out)
	widen := max(scale, 1)
	support := k.support * widen
	inverse := 1 / widen
	stride := int(math.Ceil(support))*2 + 1
	w := &weights{first: make([]int, out), count: make([]int, out), fixed: make([]uint64, out*stride), stride: stride}
	row := make([]float64, stride)
	for i := range out {
		center := from + float64((float64(i)+0.5)*scale)
		first := max(int(center-support+0.5), 0)
		end := min(int(center+support+0.5), in)
		row = row[:end-first]
		sum := 0.0
		for j := range row {
			row[j] = k.at((float64(j+first) - center + 0.5) * inverse)
			sum += row[j]
		}
		w.first[i], w.count[i] = first, len(row)
		for j, v := range row {
			if sum != 0 {
				v /= sum
			}
			w.fixed[i*stride+j] = uint64(int64(math.Copysign(0.5, v) + float64(v*(1<<precision))))
		}
	}
	return w
}
