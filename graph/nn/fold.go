package nn

import (
	"errors"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
)

// Folds are the layers of a network for inference whose parameters are folded into one weight and one bias before the
// network is compiled: a BatchNorm into the convolution before it, a LayerScale into its linear layer. The graph
// computes with the folded values, which are leaves in addition to the parameters:
//
//	x := folds.ConvNorm(s.Sub("conv1"), s.Sub("bn1"), …)   the parameters keep the names that they have in files
//	store.Bind(s.Params(), …)                              the file's values
//	folds.Fold()                                           the folded ones; the file's are no longer needed
//	vm.Compile(…)
//
// A folded network can't be trained. The zero value has no layers.
type Folds struct{ layers []folded }

// folded is one layer: the graph computes with weight and bias.
type folded struct {
	weight, bias *gorgonia.Node
	scales       func() (factors, shift []float64, err error) // per output channel: w' = w·factor, b' = b·factor + shift
	from, add    *gorgonia.Node                               // the parameters w and b; b may be nil
	params       gorgonia.Nodes                               // all parameters of the layer
	rows         bool                                         // w is [out,in], else […,out]
}

// ConvNorm is torch.nn.Conv2d without a bias followed by torch.nn.BatchNorm2d, in eval mode: x [N,H,W,I] →
// [N,H',W',out]. conv has the convolution's parameter, norm those of the normalisation. residual, which may be nil, is
// added to the result.
func (f *Folds) ConvNorm(conv, norm *op.Scope, x *gorgonia.Node, out int, g op.Geometry, eps float64,
	residual *gorgonia.Node,
) *gorgonia.Node {
	w := conv.Param("weight", g.KH, g.KW, channels(x), out)
	gamma, beta := norm.Param("weight", out), norm.Param("bias", out)
	mean, variance := norm.Param("running_mean", out), norm.Param("running_var", out)
	layer := folded{
		from: w, weight: conv.Input("folded.weight", g.KH, g.KW, channels(x), out), bias: conv.Input("folded.bias", out),
		params: gorgonia.Nodes{w, gamma, beta, mean, variance},
		scales: func() ([]float64, []float64, error) {
			all := make([][]float32, 4)
			for i, n := range []*gorgonia.Node{gamma, beta, mean, variance} {
				var err error
				if all[i], err = valuesOf(n); err != nil {
					return nil, nil, err
				}
			}
			factors, shift := make([]float64, out), make([]float64, out)
			for c := range factors {
				v := float64(all[3][c]) + eps
				if !(v > 0) {
					return nil, nil, fmt.Errorf("%s: channel %d is %v: want a variance", variance.Name(), c, all[3][c])
				}
				factors[c] = float64(all[0][c]) / math.Sqrt(v)
				shift[c] = float64(all[1][c]) - float64(all[2][c])*factors[c]
			}
			return factors, shift, nil
		},
	}
	f.add(conv, layer)
	return op.Conv2D{Geometry: op.Geometry{Stride: g.Stride, Pad: g.Pad}}.Apply(conv, x, layer.weight, layer.bias,
		residual)
}

// ScaledLinear is torch.nn.Linear with a bias followed by timm's LayerScale: x […,K] → […,out]. linear has the linear
// layer's parameters, scale the "gamma". residual, which may be nil, is added to the result.
func (f *Folds) ScaledLinear(linear, scale *op.Scope, x *gorgonia.Node, out int,
	residual *gorgonia.Node,
) *gorgonia.Node {
	gamma := scale.Param("gamma", out)
	layer := folded{
		from: linear.Param("weight", out, channels(x)), add: linear.Param("bias", out), rows: true,
		weight: linear.Input("folded.weight", out, channels(x)), bias: linear.Input("folded.bias", out),
		scales: func() ([]float64, []float64, error) {
			values, err := valuesOf(gamma)
			if err != nil {
				return nil, nil, err
			}
			factors := make([]float64, out)
			for c, v := range values {
				factors[c] = float64(v)
			}
			return factors, make([]float64, out), nil
		},
	}
	layer.params = gorgonia.Nodes{layer.from, layer.add, gamma}
	f.add(linear, layer)
	return op.Linear{}.Apply(linear, x, layer.weight, layer.bias, residual)
}

// add remembers a layer; after an error in the network there is none.
func (f *Folds) add(s *op.Scope, l folded) {
	if s.Err() == nil {
		f.layers = append(f.layers, l)
	}
}

// Fold gives the folded leaves their values, which are computed in float64 and rounded once, and takes memory of its
// own. All parameters of the layers must have theirs.
func (f *Folds) Fold() error {
	for _, l := range f.layers {
		if err := l.fold(); err != nil {
			return fmt.Errorf("fold %w", err)
		}
	}
	return nil
}

// Share gives the folded leaves the values of another graph of the same network, without a copy.
func (f *Folds) Share(of *Folds) error {
	if len(f.layers) != len(of.layers) {
		return fmt.Errorf("folded layers: %d here and %d there: want the same network", len(f.layers), len(of.layers))
	}
	for i, l := range f.layers {
		o := of.layers[i]
		if o.weight.Value() == nil || o.bias.Value() == nil {
			return fmt.Errorf("%s has no value", o.weight.Name())
		}
		if err := errors.Join(gorgonia.Let(l.weight, o.weight.Value()), gorgonia.Let(l.bias, o.bias.Value())); err != nil {
			return fmt.Errorf("%s: %w", l.weight.Name(), err)
		}
	}
	return nil
}

// Replaced are the layers' parameters, which nothing reads once they are folded.
func (f *Folds) Replaced() gorgonia.Nodes {
	var all gorgonia.Nodes
	for _, l := range f.layers {
		all = append(all, l.params...)
	}
	return all
}

func (l folded) fold() error {
	w, err := valuesOf(l.from)
	if err != nil {
		return err
	}
	factors, shift, err := l.scales()
	if err != nil {
		return err
	}
	if l.add != nil {
		b, err := valuesOf(l.add)
		if err != nil {
			return err
		}
		for c, v := range b {
			shift[c] += float64(v) * factors[c]
		}
	}
	out := len(factors)
	weight, bias := make([]float32, len(w)), make([]float32, out)
	for c, v := range shift {
		bias[c] = float32(v)
	}
	if l.rows {
		in := len(w) / out
		for c, factor := range factors {
			for i, v := range w[c*in : (c+1)*in] {
				weight[c*in+i] = float32(float64(v) * factor)
			}
		}
	} else {
		for i := 0; i < len(w); i += out {
			for c, factor := range factors {
				weight[i+c] = float32(float64(w[i+c]) * factor)
			}
		}
	}
	return errors.Join(let(l.weight, weight), let(l.bias, bias))
}

func let(n *gorgonia.Node, values []float32) error {
	if err := gorgonia.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(values))); err != nil {
		return fmt.Errorf("%s: %w", n.Name(), err)
	}
	return nil
}

// valuesOf returns the values of a bound parameter.
func valuesOf(n *gorgonia.Node) ([]float32, error) {
	d, ok := n.Value().(*tensor.Dense)
	if !ok || d.Dtype() != tensor.Float32 {
		return nil, fmt.Errorf("%s: no float32 value is bound", n.Name())
	}
	return d.Float32s(), nil
}
