package ref

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

// quickGELU is the factor in x·sigmoid(1.702 x).
const quickGELU = 1.702

// activate applies an activation function.
func activate(x float64, act op.Act) float64 {
	switch act {
	case op.SiLU:
		return x * sigmoid(x)
	case op.GELU:
		return x * normalCDF(x)
	case op.QuickGELU:
		return x * sigmoid(quickGELU*x)
	case op.ReLU:
		return max(x, 0)
	}
	return x
}

// derivative is that of an activation function at x.
func derivative(x float64, act op.Act) float64 {
	switch act {
	case op.SiLU:
		s := sigmoid(x)
		return s * (1 + x*(1-s))
	case op.GELU:
		return normalCDF(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case op.QuickGELU:
		s := sigmoid(quickGELU * x)
		return s * (1 + quickGELU*x*(1-s))
	case op.ReLU:
		if x <= 0 { // at 0 too, as in PyTorch
			return 0
		}
	}
	return 1
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// normalCDF is Φ. (1 + erf(x/√2))/2 is the same but has no digits left where x is far below zero.
func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

func activation[T element](s op.Activation) *kernel[T] {
	return mapped[T](func(x float64) float64 { return activate(x, s.Act) })
}

func activationGrad[T element](s op.ActivationGrad) *kernel[T] {
	return zipped[T](func(x, dy float64) float64 { return dy * derivative(x, s.Act) })
}

func geglu[T element](r device.Request) *kernel[T] {
	m, n := rows(r.Out.Shape), channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		parallel.For(m, func(i int) {
			x, out := row(o.in[0], i, 2*n), row(o.out, i, n)
			for c := range out {
				out[c] = T(float64(x[c]) * activate(float64(x[n+c]), op.GELU))
			}
		})
	})
}

func gegluGrad[T element](r device.Request) *kernel[T] {
	m, n := rows(r.In[1].Shape), channels(r.In[1].Shape)
	return simple(func(o operands[T]) {
		parallel.For(m, func(i int) {
			x, dy, out := row(o.in[0], i, 2*n), row(o.in[1], i, n), row(o.out, i, 2*n)
			for c := range dy {
				value, gate, d := float64(x[c]), float64(x[n+c]), float64(dy[c])
				out[c] = T(d * activate(gate, op.GELU))
				out[n+c] = T(d * value * derivative(gate, op.GELU))
			}
		})
	})
}
