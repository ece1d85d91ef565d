package ref

import (
	"math"
	"slices"

	"github.com/histdist/histdist/graph/device"
)

func softmax[T Float](r device.Request) *kernel[T] {
	m, n := rows(r.Out.Shape), channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		each(m, func(i int) { softmaxOf(row(o.out, i, n), row(o.in[0], i, n)) })
	})
}

// softmaxOf takes the largest element off first, so that no exponential overflows. out may be x.
func softmaxOf[T Float](out, x []T) {
	top := float64(slices.Max(x))
	sum := 0.0
	for i, v := range x {
		e := math.Exp(float64(v) - top)
		sum += e
		out[i] = T(e)
	}
	for i := range out {
		out[i] = T(float64(out[i]) / sum)
	}
}

func softmaxGrad[T Float](r device.Request) *kernel[T] {
	m, n := rows(r.Out.Shape), channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		each(m, func(i int) { softmaxGradOf(row(o.out, i, n), row(o.in[0], i, n), row(o.in[1], i, n)) })
	})
}

// softmaxGradOf is y·(dy − Σ y·dy). out may be dy.
func softmaxGradOf[T Float](out, y, dy []T) {
	sum := 0.0
	for i := range y {
		sum += float64(y[i]) * float64(dy[i])
	}
	for i := range y {
		out[i] = T(float64(y[i]) * (float64(dy[i]) - sum))
	}
}
