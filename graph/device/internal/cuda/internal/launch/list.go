//go:build gpu

package launch

import "github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"

// List is List of lists.cuh: tensors that one launch works on.
type List struct {
	Blocks int // of all tensors

	size   kernels.ListSize
	of     [][]Pointer // the addresses of each tensor
	sizes  []int       // in elements
	firsts []int       // the first block of each
}

// NewList returns an empty list.
func NewList(s kernels.ListSize) *List { return &List{size: s} }

// Add appends a tensor of n elements, which gets so many blocks.
func (l *List) Add(blocks, n int, addresses ...Pointer) {
	l.of, l.sizes, l.firsts = append(l.of, addresses), append(l.sizes, n), append(l.firsts, l.Blocks)
	l.Blocks += blocks
}

// Full reports whether there is no room for another tensor.
func (l *List) Full() bool { return len(l.of) == l.size.Most }

// Structure is the argument.
func (l *List) Structure() Structure {
	var s Structure
	for i := range l.size.Most {
		for j := range l.size.Addresses {
			if i < len(l.of) {
				s = append(s, l.of[i][j])
			} else {
				s = append(s, Pointer{})
			}
		}
	}
	for _, numbers := range [][]int{l.sizes, l.firsts} {
		for i := range l.size.Most {
			if i < len(numbers) {
				s = append(s, numbers[i])
			} else {
				s = append(s, 0)
			}
		}
	}
	return append(s, len(l.of))
}
