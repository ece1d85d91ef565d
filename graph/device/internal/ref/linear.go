package ref

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

// epilogue follows a product of x and weight: x, weight, [bias], [residual] → act(product + bias + residual).
type epilogue[T element] struct {
	bias, residual bool
	act            op.Act
}

// begin sets the output to the residual, which may be the output itself, or to zeros; the product is added to it.
func (e epilogue[T]) begin(o operands[T]) {
	if e.residual {
		copy(o.out, o.in[len(o.in)-1])
	} else {
		clear(o.out)
	}
}

// finish adds the bias and applies the activation.
func (e epilogue[T]) finish(o operands[T], channels int) {
	if !e.bias && e.act == op.NoAct {
		return
	}
	parallel.For(len(o.out)/channels, func(i int) {
		out := row(o.out, i, channels)
		for c := range out {
			v := float64(out[c])
			if e.bias {
				v += float64(o.in[2][c])
			}
			out[c] = T(activate(v, e.act))
		}
	})
}

// linear is x [rows,K] · weight [O,K]ᵀ.
func linear[T element](s op.Linear, r device.Request) *kernel[T] {
	m, k, n := rows(r.In[0].Shape), channels(r.In[0].Shape), channels(r.Out.Shape)
	e := epilogue[T]{s.Bias, s.Residual, s.Act}
	return simple(func(o operands[T]) {
		e.begin(o)
		multiply(dense(o.out, m, n), 1, dense(o.in[0], m, k), dense(o.in[1], n, k).t(), 1)
		e.finish(o, n)
	})
}

// linearDataGrad is dy [rows,O] · weight [O,K].
func linearDataGrad[T element](s op.LinearDataGrad, r device.Request) *kernel[T] {
	m, k, n := rows(r.In[0].Shape), channels(r.In[0].Shape), channels(r.Out.Shape)
	e := epilogue[T]{residual: s.Residual}
	return simple(func(o operands[T]) {
		e.begin(o)
		multiply(dense(o.out, m, n), 1, dense(o.in[0], m, k), dense(o.in[1], k, n), 1)
	})
}

// linearWeightGrad is dy [rows,O]ᵀ · x [rows,K].
func linearWeightGrad[T element](r device.Request) *kernel[T] {
	k, x, dy := rows(r.In[0].Shape), channels(r.In[0].Shape), channels(r.In[1].Shape)
	return simple(func(o operands[T]) {
		multiply(dense(o.out, dy, x), 1, dense(o.in[1], k, dy).t(), dense(o.in[0], k, x), 0)
	})
}
