package ref

import (
	"math"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

// grouping is x [N,…,C] with the channels in groups.
type grouping struct{ samples, pixels, channels, groups int }

func groupingOf(x tensor.Shape, groups int) grouping {
	return grouping{samples: x[0], pixels: pixels(x), channels: channels(x), groups: groups}
}

// width is the number of channels of a group.
func (g grouping) width() int { return g.channels / g.groups }

// pixel is pixel p of sample n.
func pixel[T element](g grouping, x []T, n, p int) []T { return row(x, n*g.pixels+p, g.channels) }

// groupNormStats takes the mean and then the mean square distance from it, which loses no digits where the mean is
// large.
func groupNormStats[T element](s op.GroupNormStats, r device.Request) *kernel[T] {
	g := groupingOf(r.In[0].Shape, s.Groups)
	return simple(func(o operands[T]) {
		parallel.For(g.samples*g.groups, func(i int) {
			n, group := i/g.groups, i%g.groups
			over := func(f func(x float64) float64) float64 {
				sum := 0.0
				for p := range g.pixels {
					for _, v := range row(pixel(g, o.in[0], n, p), group, g.width()) {
						sum += f(float64(v))
					}
				}
				return sum / float64(g.pixels*g.width())
			}
			mean := over(func(x float64) float64 { return x })
			variance := over(func(x float64) float64 { return (x - mean) * (x - mean) })
			o.out[2*i], o.out[2*i+1] = T(mean), T(1/math.Sqrt(variance+s.Eps))
		})
	})
}

// affine normalises one channel of one sample: x̂ = (x − mean)·inverse, z = x̂·gamma + beta.
type affine struct{ mean, inverse, gamma, beta float64 }

// affineOf is for channel c of sample n, with the inputs x, stats, gamma, beta.
func affineOf[T element](g grouping, in [][]T, n, c int) affine {
	stats := row(in[1], n*g.groups+c/g.width(), 2)
	return affine{float64(stats[0]), float64(stats[1]), float64(in[2][c]), float64(in[3][c])}
}

func (a affine) normalized(x float64) float64 { return (x - a.mean) * a.inverse }

// before is the gradient dz before the activation, from dy after it.
func (a affine) before(act op.Act, x, dy float64) float64 {
	return dy * derivative(a.normalized(x)*a.gamma+a.beta, act)
}

// activationBehind is SiLU or nothing.
func activationBehind(silu bool) op.Act {
	if silu {
		return op.SiLU
	}
	return op.NoAct
}

func groupNorm[T element](s op.GroupNorm, r device.Request) *kernel[T] {
	g, act := groupingOf(r.In[0].Shape, s.Groups), activationBehind(s.SiLU)
	return simple(func(o operands[T]) {
		parallel.For(g.samples*g.pixels, func(i int) {
			x, out := row(o.in[0], i, g.channels), row(o.out, i, g.channels)
			for c := range out {
				a := affineOf(g, o.in, i/g.pixels, c)
				out[c] = T(activate(a.normalized(float64(x[c]))*a.gamma+a.beta, act))
			}
		})
	})
}

// groupNormGradSums is, for each sample and channel, Σ dz and Σ dz·x̂.
func groupNormGradSums[T element](s op.GroupNormGradSums, r device.Request) *kernel[T] {
	g, act := groupingOf(r.In[0].Shape, s.Groups), activationBehind(s.SiLU)
	return simple(func(o operands[T]) {
		parallel.For(g.samples, func(n int) {
			sum := make([]float64, 2*g.channels)
			for p := range g.pixels {
				x, dy := pixel(g, o.in[0], n, p), pixel(g, o.in[4], n, p)
				for c := range x {
					a := affineOf(g, o.in, n, c)
					dz := a.before(act, float64(x[c]), float64(dy[c]))
					sum[c] += dz
					sum[g.channels+c] += dz * a.normalized(float64(x[c]))
				}
			}
			round(row(o.out, n, 2*g.channels), sum)
		})
	})
}

// groupNormGradInput is dx = inverse·(dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂)) with dx̂ = gamma·dz, the means being the
// group's.
func groupNormGradInput[T element](s op.GroupNormGradInput, r device.Request) *kernel[T] {
	g, act := groupingOf(r.In[0].Shape, s.Groups), activationBehind(s.SiLU)
	return simple(func(o operands[T]) {
		parallel.For(g.samples, func(n int) {
			gamma := o.in[2]
			sums := row(o.in[5], n, 2*g.channels)
			mean, slope := make([]float64, g.groups), make([]float64, g.groups)
			for c := range g.channels {
				share := float64(gamma[c]) / float64(g.pixels*g.width())
				mean[c/g.width()] += share * float64(sums[c])
				slope[c/g.width()] += share * float64(sums[g.channels+c])
			}
			for p := range g.pixels {
				x, dy, out := pixel(g, o.in[0], n, p), pixel(g, o.in[4], n, p), pixel(g, o.out, n, p)
				for c := range x {
					a, group := affineOf(g, o.in, n, c), c/g.width()
					d := a.gamma * a.before(act, float64(x[c]), float64(dy[c]))
					out[c] = T(a.inverse * (d - mean[group] - a.normalized(float64(x[c]))*slope[group]))
				}
			}
		})
	})
}

// moments are the mean and 1/sqrt(variance + eps) of a row.
func moments[T element](x []T, eps float64) (mean, inverse float64) {
	for _, v := range x {
		mean += float64(v)
	}
	mean /= float64(len(x))
	variance := 0.0
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, 1 / math.Sqrt(variance/float64(len(x))+eps)
}

func layerNorm[T element](s op.LayerNorm, r device.Request) *kernel[T] {
	m, n := rows(r.Out.Shape), channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		gamma, beta := o.in[1], o.in[2]
		parallel.For(m, func(i int) {
			x, out := row(o.in[0], i, n), row(o.out, i, n)
			mean, inverse := moments(x, s.Eps)
			for c := range x {
				out[c] = T((float64(x[c])-mean)*inverse*float64(gamma[c]) + float64(beta[c]))
			}
		})
	})
}

// layerNormGradInput is groupNormGradInput's formula with the means of a row.
func layerNormGradInput[T element](s op.LayerNormGradInput, r device.Request) *kernel[T] {
	m, n := rows(r.Out.Shape), channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		gamma := o.in[1]
		parallel.For(m, func(i int) {
			x, dy, out := row(o.in[0], i, n), row(o.in[2], i, n), row(o.out, i, n)
			mu, inverse := moments(x, s.Eps)
			var mean, slope float64
			for c := range x {
				d := float64(gamma[c]) * float64(dy[c])
				mean += d / float64(n)
				slope += d * (float64(x[c]) - mu) * inverse / float64(n)
			}
			for c := range x {
				d := float64(gamma[c]) * float64(dy[c])
				out[c] = T(inverse * (d - mean - (float64(x[c])-mu)*inverse*slope))
			}
		})
	})
}

// layerNormGradParams is Σ dy and Σ dy·x̂ over the rows.
func layerNormGradParams[T element](s op.LayerNormGradParams, r device.Request) *kernel[T] {
	m, n := rows(r.In[0].Shape), channels(r.In[0].Shape)
	return simple(func(o operands[T]) {
		sum := make([]float64, 2*n)
		for i := range m {
			x, dy := row(o.in[0], i, n), row(o.in[1], i, n)
			mean, inverse := moments(x, s.Eps)
			for c := range x {
				sum[c] += float64(dy[c])
				sum[n+c] += float64(dy[c]) * (float64(x[c]) - mean) * inverse
			}
		}
		round(o.out, sum)
	})
}
