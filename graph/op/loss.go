package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// MSE is the mean-squared error, each sample weighted if Weighted: prediction [N,…], target [N,…], [weights [N]] →
// scalar, Σₙ wₙ Σ (prediction − target)² / elements.
type MSE struct{ Weighted bool }

// Apply is torch.nn.functional.mse_loss or, with weights [N], the mean over the samples of weight × mean squared error,
// as for min-SNR: prediction [N,…], target [N,…] → scalar. weights may be nil.
func (m MSE) Apply(s *Scope, prediction, target, weights *gorgonia.Node) *gorgonia.Node {
	m.Weighted = weights != nil
	return s.apply(m, optional(gorgonia.Nodes{prediction, target}, weights)...)
}

func (m MSE) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := m.check(in); err != nil {
		return nil, err
	}
	return tensor.ScalarShape(), nil
}

func (m MSE) check(in []tensor.Shape) error {
	if len(in[0]) < 1 || !equal(in[0], in[1]) {
		return errorf("prediction %v and target %v: want one shape [N,…]", in[0], in[1])
	}
	if m.Weighted && !equal(in[2], tensor.Shape{in[0][0]}) {
		return errorf("weights %v: want [%d], one for each sample", in[2], in[0][0])
	}
	return nil
}

func (m MSE) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

func (m MSE) Diff(n int) []bool {
	d := make([]bool, n)
	d[0], d[1] = true, true
	return d
}

// Grad uses that the loss is symmetric in prediction and target.
func (m MSE) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	grads := make(gorgonia.Nodes, len(in))
	for i := range 2 {
		args := gorgonia.Nodes{in[i], in[1-i], dy}
		if m.Weighted {
			args = append(args, in[2])
		}
		grads[i] = s.apply(MSEGrad(m), args...)
	}
	return grads
}

// MSEGrad is a [N,…], b [N,…], dloss scalar, [weights [N]] → the gradient of MSE with respect to a.
type MSEGrad MSE

func (m MSEGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if Size(in[2]) != 1 {
		return nil, errorf("gradient %v of the loss: want a scalar", in[2])
	}
	if err := MSE(m).check(append([]tensor.Shape{in[0], in[1]}, in[3:]...)); err != nil {
		return nil, err
	}
	return in[0].Clone(), nil
}

func (m MSEGrad) Kinds(n int) ([]Kind, Kind) { return exacts(n) }
func (m MSEGrad) InPlace(int) []int          { return []int{0, 1} }
