package ref

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

// clamped returns the logarithm of a variance as it is used, and whether gradients flow through it.
func clamped[T element](logvar T) (value float64, inside bool) {
	v := float64(logvar)
	return min(max(v, op.MinLogVariance), op.MaxLogVariance), v >= op.MinLogVariance && v <= op.MaxLogVariance
}

// eachPixel visits the pixels of moments [N,…,2C]: the C means and the C logarithms of variances of pixel i.
func eachPixel[T element](moments []T, c int, visit func(i int, mean, logvar []T)) {
	parallel.For(len(moments)/(2*c), func(i int) {
		m := row(moments, i, 2*c)
		visit(i, m[:c], m[c:])
	})
}

func posteriorSample[T element](r device.Request) *kernel[T] {
	n := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		eachPixel(o.in[0], n, func(i int, mean, logvar []T) {
			noise, out := row(o.in[1], i, n), row(o.out, i, n)
			for c := range n {
				v, _ := clamped(logvar[c])
				out[c] = T(float64(mean[c]) + math.Exp(v/2)*float64(noise[c]))
			}
		})
	})
}

func posteriorSampleGrad[T element](r device.Request) *kernel[T] {
	n := channels(r.In[1].Shape)
	return simple(func(o operands[T]) {
		eachPixel(o.in[0], n, func(i int, _, logvar []T) {
			noise, dy, out := row(o.in[1], i, n), row(o.in[2], i, n), row(o.out, i, 2*n)
			for c := range n {
				v, inside := clamped(logvar[c])
				out[c], out[n+c] = dy[c], 0
				if inside {
					out[n+c] = T(float64(dy[c]) * float64(noise[c]) * math.Exp(v/2) / 2)
				}
			}
		})
	})
}

func klDivergence[T element](r device.Request) *kernel[T] {
	x := r.In[0].Shape
	n := channels(x) / 2
	return simple(func(o operands[T]) {
		sum := 0.0
		for i := range rows(x) {
			m := row(o.in[0], i, 2*n)
			for c, mean := range m[:n] {
				v, _ := clamped(m[n+c])
				sum += (float64(mean)*float64(mean) + math.Exp(v) - 1 - v) / 2
			}
		}
		o.out[0] = T(sum / float64(x[0]))
	})
}

func klDivergenceGrad[T element](r device.Request) *kernel[T] {
	x := r.In[0].Shape
	n := channels(x) / 2
	return simple(func(o operands[T]) {
		factor := float64(o.in[1][0]) / float64(x[0])
		eachPixel(o.in[0], n, func(i int, mean, logvar []T) {
			out := row(o.out, i, 2*n)
			for c := range n {
				v, inside := clamped(logvar[c])
				out[c], out[n+c] = T(factor*float64(mean[c])), 0
				if inside {
					out[n+c] = T(factor * (math.Exp(v) - 1) / 2)
				}
			}
		})
	})
}
