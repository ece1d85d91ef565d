package ref

import (
	"math"

	"github.com/histdist/histdist/graph/op"
)

// adamW is torch.optim.AdamW's step, in its order,
// in which hyper gives 1 − β1 and 1 − β2:
//
//	p ← p·(1 − lr·decay)    m ← m + (1 − β1)·(g − m)    v ← β2·v + (1 − β2)·g²
//	p ← p − lr/(1 − β1^t) · m / (√v/√(1 − β2^t) + ε)
func adamW[T element](s op.AdamW) *kernel[T] {
	return simple(func(o operands[T]) {
		p, gradient, m, v := o.in[0], o.in[1], o.in[2], o.in[3]
		var hyper [7]float64
		for i, h := range o.in[4] {
			hyper[i] = float64(h)
		}
		rate, gain1, gain2, epsilon, decay, correction1, rootCorrection2 :=
			hyper[0], hyper[1], hyper[2], hyper[3], hyper[4], hyper[5], hyper[6]
		clip := 1.0
		if s.Scaled {
			clip = float64(o.in[5][0])
		}
		eachStretch(len(p), func(from, to int) {
			for i := from; i < to; i++ {
				g := clip * float64(gradient[i])
				mean := float64(m[i]) + gain1*(g-float64(m[i]))
				square := (1-gain2)*float64(v[i]) + gain2*g*g
				step := rate / correction1 * mean / (math.Sqrt(square)/rootCorrection2 + epsilon)
				p[i], m[i], v[i] = T(float64(p[i])*(1-rate*decay)-step), T(mean), T(square)
			}
		})
	})
}

// movingAverage computes in T, rounded twice.
func movingAverage[T element]() *kernel[T] {
	return simple(func(o operands[T]) {
		average, p, weight := o.in[0], o.in[1], o.in[2][0]
		eachStretch(len(average), func(from, to int) {
			for i := from; i < to; i++ {
				average[i] -= T(weight * (average[i] - p[i])) //nolint:unconvert // rounds before it subtracts
			}
		})
	})
}

func globalNorm[T element]() *kernel[T] {
	return simple(func(o operands[T]) {
		sum := 0.0
		for _, x := range o.in {
			for _, v := range x {
				sum += float64(v) * float64(v)
			}
		}
		o.out[0] = T(math.Sqrt(sum))
	})
}

// clipScale is op.ClipScale's Factor in T.
func clipScale[T element](s op.ClipScale) *kernel[T] {
	return mapped[T](func(norm float64) float64 { return min(1, s.Max/(norm+1e-6)) })
}
