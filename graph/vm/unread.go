package vm

import (
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
)

// Unread lists the parameters whose values the program doesn't read any more: its kernels hold them rearranged, or the device
// has a copy. Their owner may give the memory back for as long as the program lives, but not the address, by which kernels know a
// rearranged weight again, and must restore the bytes before another program is compiled from them.
func (p *Program) Unread() gorgonia.Nodes {
	// By address: two parameters may be one tensor.
	read := map[device.Pointer]bool{}
	for _, s := range p.steps {
		if s.kernel == nil {
			continue
		}
		unread := s.unread()
		for i, v := range s.in {
			if v.root.source == bound && !slices.Contains(unread, i) {
				read[v.root.ptr] = true
			}
		}
	}
	for _, v := range p.graph.outputs {
		read[v.root.ptr] = true
	}
	var nodes gorgonia.Nodes
	for _, v := range p.graph.leaves {
		if v.source != bound || v.node.Op() != nil { // nor a constant
			continue
		}
		if h, err := denseOf(v.held); err == nil && !read[h.ptr] {
			nodes = append(nodes, v.node)
		}
	}
	return nodes
}
