package vm

import "github.com/histdist/histdist/graph/op"

// fuse moves an activation, a sum or a cast that follows a matrix product into the product's kernel, where its only
// reader allows it: one pass over memory less, and one rounding less where a cast makes a product exact.
func (g *graph) fuse() {
	f := fuser{readers: g.readers(), gone: map[*step]bool{}}
	for _, s := range g.steps {
		switch spec := s.spec.(type) {
		case op.Activation:
			f.into(s, s.in[0], op.Fusion{Act: spec.Act, Store: s.out.kind})
		case op.Cast:
			f.into(s, s.in[0], op.Fusion{Store: spec.To})
		case op.Add:
			f.sum(s)
		}
	}
	kept := g.steps[:0]
	for _, s := range g.steps {
		if !f.gone[s] {
			kept = append(kept, s)
		}
	}
	g.steps = kept
}

type fuser struct {
	readers map[*value][]*step
	gone    map[*step]bool
}

// into makes s compute, in its own place, the product that computes v together with what s does to it; more are further
// inputs. It reports whether it did: s must be v's only reader, and the product must have a kernel for that.
func (f fuser) into(s *step, v *value, what op.Fusion, more ...*value) bool {
	p := v.producer
	if p == nil || v.output || len(f.readers[v]) != 1 || f.readers[v][0] != s {
		return false
	}
	product, ok := p.spec.(op.Fusible)
	if !ok {
		return false
	}
	spec := product.Fuse(what)
	if spec == nil {
		return false
	}
	f.gone[p] = true
	s.spec, s.in = spec, append(append([]*value(nil), p.in...), more...)
	s.place, s.out.name = p.place, p.out.name
	for _, in := range s.in {
		for i, r := range f.readers[in] {
			if r == p {
				f.readers[in][i] = s
			}
		}
	}
	return true
}

// sum lets the later of the two terms' products add the other term. Its step moves to where both are there.
func (f fuser) sum(s *step) {
	a, b := s.in[0], s.in[1]
	if a == b {
		return
	}
	if p, q := a.producer, b.producer; p != nil && q != nil {
		later := p.key
		if later.compare(q.key) < 0 {
			later = q.key
		} else {
			a, b = b, a
		}
		later.after++
		if s.backward && !s.again {
			s.key = later // a gradient's sum is made last by Gorgonia, however long its terms have been there
		}
	}
	residual := op.Fusion{Residual: true, Store: op.Exact}
	if !f.into(s, b, residual, a) {
		f.into(s, a, residual, b)
	}
}
