package op

import (
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// AdamW is one step of torch.optim.AdamW (Loshchilov and Hutter 2019), written into p, m and v: p, gradient, m, v of one
// shape, hyper [7], [scale: a scalar that multiplies the gradient] → p.
//
// hyper is learning rate, 1 − beta1, 1 − beta2, epsilon, weight decay, 1 − beta1^t and sqrt(1 − beta2^t), t being the step counted
// from 1; see AdamWConfig.Hyper. It has 1 − beta and not beta because it is float32: of a rounded 0.999 the difference would be off
// by 1.3e-5 of itself.
type AdamW struct{ Scaled bool }

// AdamWConfig holds the optimiser's constants; the comments give PyTorch's defaults.
type AdamWConfig struct {
	Beta1       float64 // 0.9
	Beta2       float64 // 0.999
	Epsilon     float64 // 1e-8
	WeightDecay float64 // 1e-2
}

// AdamWOperands are what a step reads and updates. Param, Gradient, ExpAvg and ExpAvgSq have one shape; all but the gradient are leaves.
type AdamWOperands struct {
	Param, Gradient  *gorgonia.Node
	ExpAvg, ExpAvgSq *gorgonia.Node // the moments, with PyTorch's names
	Hyper            *gorgonia.Node // an input [7] that each run is fed with; see AdamWConfig.Hyper
	Scale            *gorgonia.Node // multiplies the gradient, see ClipScale; nil for none
}

// Apply makes the update of a parameter and its moments; its result is the parameter.
func (a AdamW) Apply(s *Scope, o AdamWOperands) *gorgonia.Node {
	a.Scaled = o.Scale != nil
	return s.apply(a, optional(gorgonia.Nodes{o.Param, o.Gradient, o.ExpAvg, o.ExpAvgSq, o.Hyper}, o.Scale)...)
}

// Name returns "AdamW".
func (a AdamW) Name() string { return "AdamW" }

// Infer returns p's shape.
func (a AdamW) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 5+flag(a.Scaled)); err != nil {
		return nil, err
	}
	if !equal(in[4], tensor.Shape{7}) {
		return nil, errorf("hyper %v: want [7]", in[4])
	}
	if a.Scaled && Size(in[5]) != 1 {
		return nil, errorf("scale %v: want a scalar", in[5])
	}
	return sameShape(in[:4], 4)
}

// Kinds returns exact values.
func (a AdamW) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// ViewOffset is 0: the output is p.
func (a AdamW) ViewOffset() int { return 0 }

// Updates lists p, m and v.
func (a AdamW) Updates() []int { return []int{0, 2, 3} }

// MovingAverage moves an average by one update towards the parameters, written into the average: average, p of one shape, weight [1] →
// average − weight·(average − p). weight is 1 − decay: with the two weights decay and 1 − decay instead, whose float32 values don't add up to
// 1, an average at 0.9999 would be off by up to 3e-4 of its value. In float32 the product is rounded before it is subtracted, on every
// device: the bytes are the same everywhere.
type MovingAverage struct{}

// Apply makes the update of an average, a leaf, by p. weight is an input [1] that each run is fed with.
func (m MovingAverage) Apply(s *Scope, average, p, weight *gorgonia.Node) *gorgonia.Node {
	return s.apply(m, average, p, weight)
}

// Name returns "MovingAverage".
func (MovingAverage) Name() string { return "MovingAverage" }

// Infer returns the average's shape.
func (MovingAverage) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 3); err != nil {
		return nil, err
	}
	if Size(in[2]) != 1 {
		return nil, errorf("weight %v: want one number", in[2])
	}
	return sameShape(in[:2], 2)
}

// Kinds returns exact values.
func (MovingAverage) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// ViewOffset is 0: the output is the average.
func (MovingAverage) ViewOffset() int { return 0 }

// Updates lists the average.
func (MovingAverage) Updates() []int { return []int{0} }

// GlobalNorm is the L2 norm over all inputs together → scalar (torch.nn.utils.clip_grad_norm_'s total_norm).
type GlobalNorm struct{}

// Apply returns the L2 norm of all gradients together.
func (g GlobalNorm) Apply(s *Scope, gradients ...*gorgonia.Node) *gorgonia.Node {
	return s.apply(g, gradients...)
}

// Name returns "GlobalNorm".
func (GlobalNorm) Name() string { return "GlobalNorm" }

// Infer returns a scalar.
func (GlobalNorm) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) < 1 {
		return nil, errorf("no inputs")
	}
	return tensor.ScalarShape(), nil
}

// Kinds returns exact values.
func (GlobalNorm) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// ClipScale is norm → min(1, Max/(norm + 1e-6)), the factor of torch.nn.utils.clip_grad_norm_.
type ClipScale struct{ Max float64 }

// Apply returns the factor that brings gradients of the given global norm down to Max.
func (c ClipScale) Apply(s *Scope, norm *gorgonia.Node) *gorgonia.Node {
	return s.apply(c, norm)
}

// Factor returns the scale for a norm.
func (c ClipScale) Factor(norm float32) float32 {
	return float32(min(1, c.Max/(float64(norm)+1e-6)))
}

// Name returns "ClipScale".
func (c ClipScale) Name() string { return "ClipScale" }

// Infer returns a scalar.
func (c ClipScale) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if !(c.Max > 0) {
		return nil, errorf("largest norm %g: want more than 0", c.Max)
	}
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if len(in[0]) != 0 {
		return nil, errorf("norm %v: want a scalar", in[0])
	}
	return in[0].Clone(), nil
}

// Kinds returns exact values.
func (c ClipScale) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Hyper returns AdamW's hyper vector [7] for a learning rate and the step, counted from 1.
func (c AdamWConfig) Hyper(learningRate float64, step int) *tensor.Dense {
	t := float64(step)
	return tensor.New(tensor.WithBacking([]float32{
		float32(learningRate), float32(1 - c.Beta1), float32(1 - c.Beta2), float32(c.Epsilon), float32(c.WeightDecay),
		float32(1 - math.Pow(c.Beta1, t)), float32(math.Sqrt(1 - math.Pow(c.Beta2, t))),
	}))
}
