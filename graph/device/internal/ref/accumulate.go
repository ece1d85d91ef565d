package ref

// accumulate adds an input to the total of earlier runs, or takes its place.
func accumulate[T element]() *kernel[T] {
	return simple(func(o operands[T]) {
		total, x, keep := o.in[0], o.in[1], o.in[2][0]
		if keep == 0 {
			copy(total, x)
			return
		}
		eachStretch(len(total), func(from, to int) {
			for i := from; i < to; i++ {
				total[i] = T(float64(keep)*float64(total[i]) + float64(x[i]))
			}
		})
	})
}
