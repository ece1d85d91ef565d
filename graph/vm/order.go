package vm

import (
	"container/heap"
	"fmt"
)

// sort orders the steps so that inputs come first and otherwise by key. An update (an optimiser's step) comes after
// everything else that reads what it writes; two updates of one value have no order, which is an error.
func (g *graph) sort() error {
	waits := make(map[*step]int, len(g.steps))
	next := make(map[*step][]*step, len(g.steps))
	before := func(a, b *step) {
		next[a] = append(next[a], b)
		waits[b]++
	}
	readers := g.readers()
	for _, s := range g.steps {
		for _, v := range s.in {
			if v.producer != nil {
				before(v.producer, s)
			}
		}
		for _, i := range s.updates() {
			for _, r := range readers[s.in[i]] {
				if r != s {
					before(r, s)
				}
			}
		}
	}
	var ready byKey
	for _, s := range g.steps {
		if waits[s] == 0 {
			ready = append(ready, s)
		}
	}
	heap.Init(&ready)
	sorted := make([]*step, 0, len(g.steps))
	for len(ready) > 0 {
		s := heap.Pop(&ready).(*step)
		s.index = len(sorted)
		sorted = append(sorted, s)
		for _, n := range next[s] {
			if waits[n]--; waits[n] == 0 {
				heap.Push(&ready, n)
			}
		}
	}
	if len(sorted) < len(g.steps) {
		for _, s := range g.steps {
			if waits[s] > 0 && len(s.updates()) > 0 {
				return fmt.Errorf("%s: what it updates is updated by another operation too, or read by one that needs the result",
					s.place)
			}
		}
	}
	g.steps = sorted
	return nil
}

type byKey []*step

func (b byKey) Len() int           { return len(b) }
func (b byKey) Less(i, j int) bool { return b[i].key.compare(b[j].key) < 0 }
func (b byKey) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *byKey) Push(s any)        { *b = append(*b, s.(*step)) }
func (b *byKey) Pop() any {
	old := *b
	s := old[len(old)-1]
	*b = old[:len(old)-1]
	return s
}
