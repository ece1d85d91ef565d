package vm

import (
	"cmp"
	"slices"

	"github.com/google/btree"
)

// alignment of every value in the arena, in bytes: a cache line and an AVX-512 vector.
const alignment = 64

func aligned(n int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }

// item is a stretch of memory that is held from the first to the last step, both included.
type item struct {
	first, last int
	bytes       int64
}

// packing is an offset for each item and the size of the arena.
type packing struct {
	offsets []int64
	size    int64
}

// pack places items so that those held at the same time don't overlap. It tries several orders, each in n log n, and
// keeps the smallest arena: placing in time order suits inference, against time order suits the stack of values that a
// backward pass unwinds, and long-lived values first keeps them from fragmenting the arena.
func pack(items []item) packing {
	bound := lowerBound(items)
	var best packing
	for _, reversed := range []bool{false, true} {
		for _, fit := range []fit{bestFit, firstFit, outerFit} {
			p := layout(items, reversed, fit)
			if best.offsets == nil || p.size < best.size {
				best = p
			}
			if best.size == bound {
				return best
			}
		}
	}
	return best
}

// lowerBound is the largest sum of the items that are held at the same time: no arena is smaller.
func lowerBound(items []item) int64 {
	var held, most int64
	sweep(items, false, func(i int, begin bool) {
		if begin {
			held += aligned(items[i].bytes)
			most = max(most, held)
		} else {
			held -= aligned(items[i].bytes)
		}
	})
	return most
}

// sweep walks through time, or back, and calls visit where items begin and end. At one moment, those that end come
// first.
func sweep(items []item, reversed bool, visit func(i int, begin bool)) {
	type event struct {
		at    int
		begin bool
		i     int
	}
	events := make([]event, 0, 2*len(items))
	for i, it := range items {
		first, last := it.first, it.last
		if reversed {
			first, last = -last, -first
		}
		events = append(events, event{first, true, i}, event{last + 1, false, i})
	}
	slices.SortFunc(events, func(a, b event) int {
		switch {
		case a.at != b.at:
			return cmp.Compare(a.at, b.at)
		case a.begin != b.begin:
			if b.begin {
				return -1
			}
			return 1
		case a.begin: // the largest first
			return cmp.Or(cmp.Compare(items[b.i].bytes, items[a.i].bytes), cmp.Compare(a.i, b.i))
		}
		return cmp.Compare(a.i, b.i)
	})
	for _, e := range events {
		visit(e.i, e.begin)
	}
}

// fit is how a free stretch is chosen.
type fit uint8

const (
	bestFit  fit = iota // the smallest that is large enough
	firstFit            // the lowest among a few of the smallest that are large enough
	outerFit            // as bestFit, but long-lived values go to the low end of their stretch, others to the high end
)

// hole is a free stretch of the arena.
type hole struct{ offset, size int64 }

// heapMemory is an allocator over an arena that grows as needed: holes by size, with their neighbours merged.
type heapMemory struct {
	bySize  *btree.BTreeG[hole]
	byStart map[int64]int64
	byEnd   map[int64]int64
	end     int64
}

func newHeapMemory() *heapMemory {
	return &heapMemory{
		bySize: btree.NewG(16, func(a, b hole) bool {
			if a.size != b.size {
				return a.size < b.size
			}
			return a.offset < b.offset
		}),
		byStart: map[int64]int64{},
		byEnd:   map[int64]int64{},
	}
}

func (h *heapMemory) add(x hole) {
	h.bySize.ReplaceOrInsert(x)
	h.byStart[x.offset] = x.size
	h.byEnd[x.offset+x.size] = x.size
}

func (h *heapMemory) remove(x hole) {
	h.bySize.Delete(x)
	delete(h.byStart, x.offset)
	delete(h.byEnd, x.offset+x.size)
}

// candidates bounds the search of firstFit, so that it stays in O(log n).
const candidates = 8

func (h *heapMemory) alloc(size int64, f fit, high bool) int64 {
	var found hole
	n := 0
	h.bySize.AscendGreaterOrEqual(hole{0, size}, func(x hole) bool {
		if n == 0 || x.offset < found.offset {
			found = x
		}
		n++
		return f == firstFit && n < candidates
	})
	if n > 0 {
		h.remove(found)
		rest := found.size - size
		if rest == 0 {
			return found.offset
		}
		if f == outerFit && high {
			h.add(hole{found.offset, rest})
			return found.offset + rest
		}
		h.add(hole{found.offset + size, rest})
		return found.offset
	}
	at := h.end
	if last, ok := h.byEnd[h.end]; ok { // grow the hole at the end
		at = h.end - last
		h.remove(hole{at, last})
	}
	h.end = at + size
	return at
}

func (h *heapMemory) free(x hole) {
	if before, ok := h.byEnd[x.offset]; ok {
		h.remove(hole{x.offset - before, before})
		x.offset -= before
		x.size += before
	}
	if after, ok := h.byStart[x.offset+x.size]; ok {
		h.remove(hole{x.offset + x.size, after})
		x.size += after
	}
	h.add(x)
}

func layout(items []item, reversed bool, f fit) packing {
	p := packing{offsets: make([]int64, len(items))}
	h := newHeapMemory()
	sweep(items, reversed, func(i int, begin bool) {
		size := aligned(items[i].bytes)
		if size == 0 {
			return
		}
		if begin {
			p.offsets[i] = h.alloc(size, f, items[i].last-items[i].first <= 4)
		} else {
			h.free(hole{p.offsets[i], size})
		}
	})
	p.size = h.end
	return p
}
