//go:build gpu

package cuda

// list is List of kernels/lists.cuh: tensors that one launch works on.
type list struct {
	addresses, most int // P and MOST

	of     [][]pointer // the addresses of each tensor
	sizes  []int       // in elements
	firsts []int       // the first block of each
	blocks int
}

// squared is the list of square_sums.
var squared = list{addresses: 1, most: 160}

// add puts a tensor of n elements behind the others; some blocks are its.
func (l *list) add(blocks, n int, addresses ...pointer) {
	l.of, l.sizes, l.firsts = append(l.of, addresses), append(l.sizes, n), append(l.firsts, l.blocks)
	l.blocks += blocks
}

func (l *list) full() bool { return len(l.of) == l.most }

// structure is the argument.
func (l *list) structure() structure {
	var s structure
	for i := range l.most {
		for j := range l.addresses {
			if i < len(l.of) {
				s = append(s, l.of[i][j])
			} else {
				s = append(s, pointer{})
			}
		}
	}
	for _, numbers := range [][]int{l.sizes, l.firsts} {
		for i := range l.most {
			if i < len(numbers) {
				s = append(s, numbers[i])
			} else {
				s = append(s, 0)
			}
		}
	}
	return append(s, len(l.of))
}
