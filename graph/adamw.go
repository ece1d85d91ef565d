package graph

import (
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
)

// AdamW adds the optimiser to a training graph: an update, op.AdamW, and two moments for each parameter.
type AdamW struct {
	Hyper            *gorgonia.Node // input [7], fed to every run: see op.AdamWConfig.Hyper
	Scale            *gorgonia.Node // factor of all gradients, such as op.ClipScale's; nil for none
	ExpAvg, ExpAvgSq gorgonia.Nodes // moments in the order of the updates; Update gives them no values

	scope *op.Scope
}

// NewAdamW makes an optimiser in a scope. Moments are parameters of the scope, below the name "adamw".
func NewAdamW(s *op.Scope) *AdamW { return &AdamW{Hyper: s.Input("hyper", 7), scope: s} }

// Update adds the update of parameter p by its gradient and returns the updated p, an output for vm.Compile.
func (a *AdamW) Update(p, gradient *gorgonia.Node) *gorgonia.Node {
	if a.scope.Err() != nil {
		return nil
	}
	moment := func(name string) *gorgonia.Node {
		return a.scope.Sub("adamw."+name).Param(p.Name(), p.Shape()...)
	}
	m, v := moment("exp_avg"), moment("exp_avg_sq")
	a.ExpAvg, a.ExpAvgSq = append(a.ExpAvg, m), append(a.ExpAvgSq, v)
	return op.AdamW{}.Apply(a.scope, op.AdamWOperands{
		Param: p, Gradient: gradient, ExpAvg: m, ExpAvgSq: v, Hyper: a.Hyper, Scale: a.Scale,
	})
}

// Minimize differentiates the loss, adds the update of every parameter, sets the moments to zero and returns the
// updates.
func (a *AdamW) Minimize(loss *gorgonia.Node, params ...*gorgonia.Node) (gorgonia.Nodes, error) {
	gradients, err := Gradients(loss, params...)
	if err != nil {
		return nil, err
	}
	var updates gorgonia.Nodes
	for i, p := range params {
		updates = append(updates, a.Update(p, gradients[i]))
	}
	if err := a.scope.Err(); err != nil {
		return nil, err
	}
	for _, n := range slices.Concat(a.ExpAvg, a.ExpAvgSq) {
		if err := gorgonia.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.Of(tensor.Float32))); err != nil {
			return nil, err
		}
	}
	return updates, nil
}
