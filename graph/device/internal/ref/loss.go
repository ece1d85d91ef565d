package ref

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

// weight is that of sample n, 1 without weights. They are the last input.
func weight[T element](weighted bool, in [][]T, n int) float64 {
	if !weighted {
		return 1
	}
	return float64(in[len(in)-1][n])
}

func mse[T element](s op.MSE, r device.Request) *kernel[T] {
	samples, size := r.In[0].Shape[0], op.Size(r.In[0].Shape)
	return simple(func(o operands[T]) {
		loss := 0.0
		for n := range samples {
			a, b := row(o.in[0], n, size/samples), row(o.in[1], n, size/samples)
			sum := 0.0
			for i := range a {
				d := float64(a[i]) - float64(b[i])
				sum += d * d
			}
			loss += weight(s.Weighted, o.in, n) * sum
		}
		o.out[0] = T(loss / float64(size))
	})
}

// mseGrad is 2·weight·dloss·(a − b)/elements.
func mseGrad[T element](s op.MSEGrad, r device.Request) *kernel[T] {
	samples, size := r.Out.Shape[0], op.Size(r.Out.Shape)
	return simple(func(o operands[T]) {
		parallel.For(samples, func(n int) {
			a, b, out := row(o.in[0], n, size/samples), row(o.in[1], n, size/samples), row(o.out, n, size/samples)
			factor := 2 * weight(s.Weighted, o.in, n) * float64(o.in[2][0]) / float64(size)
			for i := range out {
				out[i] = T(factor * (float64(a[i]) - float64(b[i])))
			}
		})
	})
}
