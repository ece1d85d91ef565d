package vm

import "github.com/histdist/histdist/graph/op"

// reuse lets outputs take the memory of inputs that nothing reads afterwards.
func (g *graph) reuse() {
	for _, s := range g.steps {
		p, ok := s.spec.(op.InPlacer)
		if !ok || s.out.root != s.out {
			continue
		}
		for _, i := range p.InPlace(len(s.in)) {
			if v := s.in[i]; reusable(s, i) {
				v.root.extend(s.out.lifetime)
				s.out.view(v, 0)
				// Views of the output were resolved before.
				for _, w := range g.viewsOf[s.out] {
					w.root, w.offset = v.root, w.offset+s.out.offset
				}
				g.viewsOf[v.root] = append(append(g.viewsOf[v.root], s.out), g.viewsOf[s.out]...)
				break
			}
		}
	}
}

// reusable reports whether input i of s is a computed value whose memory is free from s on and of use for s's output.
func reusable(s *step, i int) bool {
	v := s.in[i]
	r := v.root
	if r.source != computed || r.stays() || r.last != s.index || v.bytes() != s.out.bytes() {
		return false
	}
	if 2*v.bytes() < r.bytes() { // a small part would hold on to the whole
		return false
	}
	for j, w := range s.in {
		if j != i && w.root == r {
			return false
		}
	}
	return true
}
