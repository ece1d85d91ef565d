package vm

import (
	"math"

	"github.com/histdist/histdist/graph/op"
)

// updates lists the inputs that a Spec writes.
func updates(s op.Spec) []int {
	if u, ok := s.(op.Updater); ok {
		return u.Updates()
	}
	return nil
}

// resolveViews points every view at the value whose memory it lies in. A step of an update has its first input as output.
func (g *graph) resolveViews() {
	for _, s := range g.steps {
		if v, ok := s.spec.(op.Viewer); ok {
			s.out.view(s.in[0], int64(v.ViewOffset())*s.out.dtype.Size())
			g.viewsOf[s.out.root] = append(g.viewsOf[s.out.root], s.out)
		}
	}
}

// live sets the steps from which and up to which each value must be held.
func (g *graph) live() {
	for _, s := range g.steps {
		if r := s.out.root; r == s.out {
			r.first, r.last = s.index, s.index
		}
		for _, v := range s.in {
			v.root.last = max(v.root.last, s.index)
		}
	}
	for _, v := range g.outputs {
		v.root.last = math.MaxInt - 1
	}
}

// reuse lets outputs take the memory of inputs that nothing reads afterwards.
func (g *graph) reuse() {
	for _, s := range g.steps {
		p, ok := s.spec.(op.InPlacer)
		if !ok || s.out.root != s.out {
			continue
		}
		for _, i := range p.InPlace(len(s.in)) {
			if v := s.in[i]; g.reusable(s, i) {
				last := max(v.root.last, s.out.last)
				s.out.view(v, 0)
				v.root.last = last
				// What views the output was resolved before.
				for _, w := range g.viewsOf[s.out] {
					w.root, w.offset = v.root, w.offset+s.out.offset
				}
				g.viewsOf[v.root] = append(append(g.viewsOf[v.root], s.out), g.viewsOf[s.out]...)
				break
			}
		}
	}
}

// reusable tells whether input i of s is a computed value whose memory is free from s on and of use for s's output.
func (g *graph) reusable(s *step, i int) bool {
	v := s.in[i]
	r := v.root
	if r.source != computed || r.last != s.index || v.bytes() != s.out.bytes() {
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
