package vm

import "github.com/histdist/histdist/graph/op"

// resolveViews points every view at the value whose memory it shares. A step of an update has its first input as
// output.
func (g *graph) resolveViews() {
	for _, s := range g.steps {
		if v, ok := s.spec.(op.Viewer); ok {
			s.out.view(s.in[0], int64(v.ViewOffset())*s.out.dtype.Size())
			g.viewsOf[s.out.root] = append(g.viewsOf[s.out.root], s.out)
		}
	}
}

// live sets the steps from which and up to which each value must be held, and which values are held longer.
func (g *graph) live() {
	for _, s := range g.steps {
		if r := s.out.root; r == s.out {
			r.first, r.last = s.index, s.index
		}
		for _, v := range s.in {
			v.root.last = max(v.root.last, s.index)
			if p := v.producer; p != nil && p.prelude != nil && p.prelude != s.prelude {
				v.root.kept = true
			}
		}
	}
	for _, v := range g.outputs {
		v.root.output = true
	}
	for _, s := range g.steps { // an output of a prelude must be there in runs that leave the prelude out
		if r := s.out.root; s.prelude != nil && r.output && r.source == computed {
			r.kept = true
		}
	}
}
