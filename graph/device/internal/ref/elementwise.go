package ref

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

// mapped applies f to each element of the input.
func mapped[T element](f func(x float64) float64) *kernel[T] {
	return simple(func(o operands[T]) {
		eachStretch(len(o.out), func(from, to int) {
			for i := from; i < to; i++ {
				o.out[i] = T(f(float64(o.in[0][i])))
			}
		})
	})
}

// zipped applies f to each pair of elements of the two inputs.
func zipped[T element](f func(a, b float64) float64) *kernel[T] {
	return simple(func(o operands[T]) {
		eachStretch(len(o.out), func(from, to int) {
			for i := from; i < to; i++ {
				o.out[i] = T(f(float64(o.in[0][i]), float64(o.in[1][i])))
			}
		})
	})
}

func add[T element]() *kernel[T] { return zipped[T](func(a, b float64) float64 { return a + b }) }

func mul[T element]() *kernel[T] { return zipped[T](func(a, b float64) float64 { return a * b }) }

func scale[T element](s op.Scale) *kernel[T] {
	return mapped[T](func(x float64) float64 { return s.Factor * x })
}

// cast copies: a program has one floating-point type.
func cast[T element]() *kernel[T] {
	return simple(func(o operands[T]) { copy(o.out, o.in[0]) })
}

// addChannels is x [N,…,C] + t [N,C].
func addChannels[T element](r device.Request) *kernel[T] {
	m, n, perSample := rows(r.Out.Shape), channels(r.Out.Shape), pixels(r.Out.Shape)
	return simple(func(o operands[T]) {
		parallel.For(m, func(i int) { addRow(row(o.out, i, n), row(o.in[0], i, n), row(o.in[1], i/perSample, n)) })
	})
}

// addBatch is x [N,…] + p […].
func addBatch[T element](r device.Request) *kernel[T] {
	samples, n := r.Out.Shape[0], op.Size(r.In[1].Shape)
	return simple(func(o operands[T]) {
		parallel.For(samples, func(i int) { addRow(row(o.out, i, n), row(o.in[0], i, n), o.in[1]) })
	})
}

// addRow is out = a + b. out may be a.
func addRow[T element](out, a, b []T) {
	for i := range out {
		out[i] = a[i] + b[i]
	}
}

// sumPixels is x [N,…,C] → [N,C].
func sumPixels[T element](r device.Request) *kernel[T] {
	samples, n := r.Out.Shape[0], channels(r.Out.Shape)
	perSample := pixels(r.In[0].Shape) * n
	return simple(func(o operands[T]) {
		parallel.For(samples, func(i int) { sumColumns(row(o.out, i, n), row(o.in[0], i, perSample), n) })
	})
}

// sumBatch is x [N,…] → […].
func sumBatch[T element](r device.Request) *kernel[T] {
	samples := r.In[0].Shape[0]
	return simple(func(o operands[T]) {
		n := len(o.out)
		eachStretch(n, func(from, to int) {
			for i := from; i < to; i++ {
				sum := 0.0
				for s := range samples {
					sum += float64(o.in[0][s*n+i])
				}
				o.out[i] = T(sum)
			}
		})
	})
}
