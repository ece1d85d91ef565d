package vm

import (
	"fmt"

	"gorgonia.org/gorgonia"
)

// hoist finds the steps that depend on one invariant input alone, its prelude, and moves them before the others. The
// values that the rest of the program reads of a prelude are kept for each fed value, so that a prelude runs once for
// each and not in every Run: see prelude.go.
func (g *graph) hoist(inputs gorgonia.Nodes) error {
	preludeOf := map[*value]*value{}
	for _, n := range inputs {
		v := g.values[n]
		if v == nil {
			continue // the outputs don't depend on it
		}
		if v.source != fed || v.producer != nil {
			return fmt.Errorf("invariant %s is not an input", n.Name())
		}
		g.invariant = append(g.invariant, v)
		preludeOf[v] = v
	}
	number := map[*value]int{}
	for i, v := range g.invariant {
		number[v] = i - len(g.invariant)
	}
	for _, s := range g.steps {
		if s.prelude = s.dependsOn(preludeOf); s.prelude != nil {
			preludeOf[s.out] = s.prelude
			s.key.prelude = number[s.prelude]
		}
	}
	return nil
}

// dependsOn returns the prelude that s belongs to: all that it reads is of that prelude or a parameter, and it updates
// nothing.
func (s *step) dependsOn(preludeOf map[*value]*value) *value {
	if len(s.updates()) > 0 {
		return nil
	}
	var found *value
	for _, v := range s.in {
		if v.source == bound && v.producer == nil {
			continue
		}
		p := preludeOf[v]
		if p == nil || found != nil && p != found {
			return nil
		}
		found = p
	}
	return found
}

// alone reports whether prelude's steps are all that reads its input, so that runs which leave them out need no input.
func (g *graph) alone(prelude *value) bool {
	for _, s := range g.steps {
		for _, v := range s.in {
			if v == prelude && s.prelude != prelude {
				return false
			}
		}
	}
	return !prelude.output
}
