package graph

import (
	"errors"
	"fmt"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// Gradients returns the gradient of a scalar loss with respect to each of wrt, which are leaves, as nodes of the same
// graph. The loss must depend on all of them. A graph can be differentiated once: Gorgonia adds to what it finds.
func Gradients(loss *gorgonia.Node, wrt ...*gorgonia.Node) (gorgonia.Nodes, error) {
	if loss == nil {
		return nil, errors.New("gradients: the loss is nil: was the scope's error checked?")
	}
	if !loss.IsScalar() {
		return nil, fmt.Errorf("gradients: the loss has shape %v, want a scalar", []int(loss.Shape()))
	}
	if err := check(loss, wrt); err != nil {
		return nil, err
	}
	grads, err := gorgonia.Grad(loss, wrt...)
	if err != nil {
		return nil, fmt.Errorf("gradients: %w", err)
	}
	return grads, nil
}

// check finds errors that Gorgonia would not name, or not report at all.
func check(loss *gorgonia.Node, wrt gorgonia.Nodes) error {
	if len(wrt) == 0 {
		return errors.New("gradients: with respect to nothing")
	}
	reached := map[*gorgonia.Node]bool{}
	for stack := (gorgonia.Nodes{loss}); len(stack) > 0; {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if reached[n] {
			continue
		}
		reached[n] = true
		if n.Deriv() != nil {
			return fmt.Errorf("gradients: %s was differentiated before: build the graph again", n.Name())
		}
		differentiable := diffs(n)
		for i, c := range op.Children(n) {
			if differentiable == nil || differentiable[i] {
				stack = append(stack, c)
			}
		}
	}
	var unused []string
	for i, n := range wrt {
		switch {
		case n == nil:
			return fmt.Errorf("gradients: with respect to %d, which is nil", i)
		case n.Op() != nil:
			return fmt.Errorf("gradients: with respect to %s, which is computed: want a leaf", n.Name())
		case !reached[n]:
			unused = append(unused, n.Name())
		}
	}
	if len(unused) > 0 {
		return fmt.Errorf("gradients: the loss does not depend on %s", strings.Join(unused, ", "))
	}
	return nil
}

// diffs reports for each input whether a gradient flows to it; nil means to all.
func diffs(n *gorgonia.Node) []bool {
	if a := op.Of(n); a != nil {
		return a.DiffWRT(a.Arity())
	}
	return nil
}
