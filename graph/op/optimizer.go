package op

import (
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// AdamW is one step of torch.optim.AdamW (Loshchilov and Hutter 2019), written into p, m and v: p, gradient, m, v of
// one shape, hyper [7], [scale: a scalar that multiplies the gradient] → p.
//
// hyper is learning rate, 1 − beta1, 1 − beta2, epsilon, weight decay, 1 − beta1^t and sqrt(1 − beta2^t), where t is
// the step, counted from 1; see AdamWConfig.Hyper. It holds 1 − beta because it is float32: computed from a rounded
// 0.999, the difference would have a relative error of 1.3e-5.
type AdamW struct{ Scaled bool }

// AdamWConfig holds the optimiser's constants; the comments give PyTorch's defaults.
type AdamWConfig struct {
	Beta1       float64 // 0.9
	Beta2       float64 // 0.999
	Epsilon     float64 // 1e-8
	WeightDecay float64 // 1e-2
}

// AdamWOperands are a step's operands. Param, Gradient, ExpAvg and ExpAvgSq have one shape; all but the
// gradient are leaves.
type AdamWOperands struct {
	Param, Gradient  *gorgonia.Node
	ExpAvg, ExpAvgSq *gorgonia.Node // the moments, with PyTorch's names
	Hyper            *gorgonia.Node // an input [7] of each run; see AdamWConfig.Hyper
	Scale            *gorgonia.Node // multiplies the gradient, see ClipScale; nil for none
}

// Apply updates a parameter and its moments, and returns the parameter.
func (a AdamW) Apply(s *Scope, o AdamWOperands) *gorgonia.Node {
	a.Scaled = o.Scale != nil
	return s.apply(a, optional(gorgonia.Nodes{o.Param, o.Gradient, o.ExpAvg, o.ExpAvgSq, o.Hyper}, o.Scale)...)
}

func (a AdamW) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if !equal(in[4], tensor.Shape{7}) {
		return nil, errorf("hyper %v: want [7]", in[4])
	}
	if a.Scaled && Size(in[5]) != 1 {
		return nil, errorf("scale %v: want a scalar", in[5])
	}
	return sameShape(in[:4])
}

func (a AdamW) Kinds(n int) ([]Kind, Kind) { return exacts(n) }
func (a AdamW) ViewOffset() int            { return 0 }
func (a AdamW) Updates() []int             { return []int{0, 2, 3} }

// MovingAverage moves an average towards a parameter: average and p of one shape, weight [1] → average −
// weight·(average − p), written into the average. weight is 1 − decay: the float32 values of decay and 1 − decay don't
// add up to 1, which would put an average with decay 0.9999 off by up to 3e-4 of its value. The product is rounded to
// float32 before it is subtracted, on every device: the bytes are the same everywhere.
type MovingAverage struct{}

// Apply moves an average, a leaf, towards p. weight is an input [1] of each run.
func (m MovingAverage) Apply(s *Scope, average, p, weight *gorgonia.Node) *gorgonia.Node {
	return s.apply(m, average, p, weight)
}

func (MovingAverage) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if Size(in[2]) != 1 {
		return nil, errorf("weight %v: want one number", in[2])
	}
	return sameShape(in[:2])
}

func (MovingAverage) Kinds(n int) ([]Kind, Kind) { return exacts(n) }
func (MovingAverage) ViewOffset() int            { return 0 }
func (MovingAverage) Updates() []int             { return []int{0} }

// GlobalNorm is the L2 norm of all inputs together, a scalar: total_norm of torch.nn.utils.clip_grad_norm_.
type GlobalNorm struct{}

// Apply returns the L2 norm of all gradients together.
func (g GlobalNorm) Apply(s *Scope, gradients ...*gorgonia.Node) *gorgonia.Node {
	return s.apply(g, gradients...)
}

func (GlobalNorm) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) < 1 {
		return nil, errorf("no inputs")
	}
	return tensor.ScalarShape(), nil
}

func (GlobalNorm) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// ClipScale is norm → min(1, Max/(norm + 1e-6)), the factor of torch.nn.utils.clip_grad_norm_.
type ClipScale struct{ Max float64 }

// Apply returns the factor that reduces gradients of this global norm to Max.
func (c ClipScale) Apply(s *Scope, norm *gorgonia.Node) *gorgonia.Node { return s.apply(c, norm) }

// Factor returns the scale for a norm.
func (c ClipScale) Factor(norm float32) float32 { return float32(min(1, c.Max/(float64(norm)+1e-6))) }

func (c ClipScale) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if !(c.Max > 0) {
		return nil, errorf("largest norm %g: want more than 0", c.Max)
	}
	if len(in[0]) != 0 {
		return nil, errorf("norm %v: want a scalar", in[0])
	}
	return in[0].Clone(), nil
}

func (c ClipScale) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Hyper returns AdamW's hyper vector [7] for a learning rate and the step, counted from 1.
func (c AdamWConfig) Hyper(learningRate float64, step int) *tensor.Dense {
	t := float64(step)
	return tensor.New(tensor.WithBacking([]float32{
		float32(learningRate), float32(1 - c.Beta1), float32(1 - c.Beta2), float32(c.Epsilon), float32(c.WeightDecay),
		float32(1 - math.Pow(c.Beta1, t)), float32(math.Sqrt(1 - math.Pow(c.Beta2, t))),
	}))
}
