package vm

import "github.com/histdist/histdist/graph/op"

// fuse moves an activation, a sum or a cast behind a matrix product into the product's kernel, where its only reader allows
// it: one pass over memory less, and one rounding less where a cast makes a product exact.
func (g *graph) fuse() {
	readers := g.readers()
	gone := map[*step]bool{}
	for _, s := range g.steps {
		switch spec := s.spec.(type) {
		case op.Activation:
			g.fuseActivation(s, spec.Act, readers, gone)
		case op.Add:
			g.fuseSum(s, readers, gone)
		case op.Cast:
			g.fuseCast(s, spec.To, readers, gone)
		}
	}
	kept := g.steps[:0]
	for _, s := range g.steps {
		if !gone[s] {
			kept = append(kept, s)
		}
	}
	g.steps = kept
}

// only returns the step that computes v if s is all that reads it.
func only(v *value, s *step, readers map[*value][]*step) *step {
	if v.prod == nil || v.output || len(readers[v]) != 1 || readers[v][0] != s {
		return nil
	}
	return v.prod
}

func (g *graph) fuseActivation(s *step, act op.Act, readers map[*value][]*step, gone map[*step]bool) {
	p := only(s.in[0], s, readers)
	if p == nil {
		return
	}
	switch spec := p.spec.(type) {
	case op.Linear:
		if spec.Act != op.NoAct {
			return
		}
		spec.Act, spec.Store = act, s.out.kind
		s.spec = spec
	case op.Conv2D:
		if spec.Act != op.NoAct {
			return
		}
		spec.Act, spec.Store = act, s.out.kind
		s.spec = spec
	default:
		return
	}
	s.take(p, p.in, readers, gone)
}

// fuseCast lets a product store what its result is cast to.
func (g *graph) fuseCast(s *step, to op.Kind, readers map[*value][]*step, gone map[*step]bool) {
	p := only(s.in[0], s, readers)
	if p == nil {
		return
	}
	switch spec := p.spec.(type) {
	case op.Linear:
		spec.Store = to
		s.spec = spec
	case op.Conv2D:
		spec.Store = to
		s.spec = spec
	case op.LinearDataGrad:
		spec.Store = to
		s.spec = spec
	case op.ConvDataGrad:
		spec.Store = to
		s.spec = spec
	default:
		return
	}
	s.take(p, p.in, readers, gone)
}

// take makes s compute what p did, from in, in p's stead.
func (s *step) take(p *step, in []*value, readers map[*value][]*step, gone map[*step]bool) {
	gone[p] = true
	s.in = append([]*value(nil), in...)
	s.place, s.out.name = p.place, p.out.name
	for _, v := range in {
		list := readers[v]
		for i, r := range list {
			if r == p {
				list[i] = s
			}
		}
	}
}

// fuseSum lets the later of the two terms' products add the other term. Its step moves to where both are there.
func (g *graph) fuseSum(s *step, readers map[*value][]*step, gone map[*step]bool) {
	a, b := s.in[0], s.in[1]
	if a == b {
		return
	}
	if p, q := a.prod, b.prod; p != nil && q != nil {
		later := p.key
		if later.less(q.key) {
			later = q.key
		} else {
			a, b = b, a
		}
		later.after++
		if s.backward && !s.again {
			s.key = later // a gradient's sum is made last by Gorgonia, however long its terms have been there
		}
	}
	for _, terms := range [2][2]*value{{a, b}, {b, a}} {
		other, last := terms[0], terms[1]
		p := only(last, s, readers)
		if p == nil {
			continue
		}
		spec := withResidual(p.spec)
		if spec == nil {
			continue
		}
		s.spec = spec
		s.take(p, append(append([]*value(nil), p.in...), other), readers, gone)
		return
	}
}

// withResidual returns the Spec with a residual input, hence an exact output, nil if it takes none or has one.
func withResidual(s op.Spec) op.Spec {
	switch spec := s.(type) {
	case op.Linear:
		if !spec.Residual && spec.Act == op.NoAct {
			spec.Residual, spec.Store = true, op.Exact
			return spec
		}
	case op.Conv2D:
		if !spec.Residual && spec.Act == op.NoAct {
			spec.Residual, spec.Store = true, op.Exact
			return spec
		}
	case op.LinearDataGrad:
		if !spec.Residual {
			spec.Residual, spec.Store = true, op.Exact
			return spec
		}
	case op.ConvDataGrad:
		if !spec.Residual {
			spec.Residual, spec.Store = true, op.Exact
			return spec
		}
	}
	return nil
}
