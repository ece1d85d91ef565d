package vm

import (
	"fmt"
	"iter"
	"math"

	"github.com/histdist/histdist/graph/device"
)

// holding is a value or a workspace in the arena.
type holding struct {
	at   *address
	item item
}

// arena places all computed values and workspaces in one arena, or in what the preludes keep, and allocates it.
func (c *compilation) arena() error {
	p := c.program
	c.demand()
	items := make([]item, len(c.held))
	for i, h := range c.held {
		items[i] = h.item
	}
	packed := pack(items)
	p.memory.Arena, p.memory.LowerBound = packed.size, lowerBound(items)
	if err := c.fits(items); err != nil {
		return err
	}
	m, err := p.device.Alloc(packed.size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMemory, err)
	}
	p.arena, p.base[arenaSpace] = m, m.Ptr
	for i, h := range c.held {
		*h.at = address{arenaSpace, packed.offsets[i]}
	}
	c.connect()
	return nil
}

// demand lists what the arena must hold, and gives what preludes keep its address in their memory.
func (c *compilation) demand() {
	for s, made := range c.calls() {
		switch v := s.out; {
		case v.root != v:
		case v.kept:
			v.memory = address{made.prelude.space, made.prelude.bytes}
			made.prelude.bytes += aligned(v.bytes())
		default:
			last := v.last
			if v.output {
				last = math.MaxInt - 1 // longer than any step: sweep looks one further
			}
			c.held = append(c.held, holding{&v.memory, item{v.first, last, v.bytes()}})
		}
		if n := made.kernel.Workspace(); n > 0 {
			c.held = append(c.held, holding{&made.workspace, item{s.index, s.index, n}})
		}
	}
}

// calls are the steps that aren't views, with the calls that were made of them.
func (c *compilation) calls() iter.Seq2[*step, *call] {
	return func(yield func(*step, *call) bool) {
		next := 0
		for _, s := range c.graph.steps {
			if s.isView() {
				continue
			}
			if !yield(s, c.program.calls[next]) {
				return
			}
			next++
		}
	}
}

// connect gives the calls and the results the addresses of their operands.
func (c *compilation) connect() {
	for s, made := range c.calls() {
		made.out = s.out.operand()
		for _, v := range s.in {
			made.in = append(made.in, v.operand())
		}
	}
	for _, v := range c.graph.outputs {
		b := c.params[v.root]
		c.program.results = append(c.program.results,
			result{operand: v.operand(), fed: v.root.source == fed, updated: b != nil && b.updated})
	}
}

// fits compares what the program takes with what there is, and names the place where it takes most.
func (c *compilation) fits(items []item) error {
	p := c.program
	limit := p.options.MemoryLimit
	held := p.memory.Packed + p.memory.Copies
	if limit == 0 {
		if limit = p.device.Available(); limit == 0 {
			return nil
		}
		held = 0 // already allocated, so not available
	}
	need := held + p.memory.Arena
	_, records := p.device.(device.Recorder)
	for _, pre := range p.preludes {
		need += pre.bytes
		if records {
			need += pre.bytes
		}
	}
	if need <= limit {
		return nil
	}
	s := c.graph.steps[min(peak(items), len(c.graph.steps)-1)]
	where := s.place
	if s.segment != 0 {
		where += fmt.Sprintf(" (segment %d)", s.segment)
	}
	return fmt.Errorf("%w on %s: the program takes %s (%s of values at once, most of them at %s; "+
		"%s of packed weights), %s may be used",
		ErrMemory, p.device.Name(), formatBytes(need), formatBytes(p.memory.Arena), where, formatBytes(p.memory.Packed),
		formatBytes(limit))
}

// peak returns the step at which most is held.
func peak(items []item) int {
	var held, most int64
	at := 0
	sweep(items, false, func(i int, begin bool) {
		if !begin {
			held -= aligned(items[i].bytes)
			return
		}
		if held += aligned(items[i].bytes); held > most {
			most, at = held, items[i].first
		}
	})
	return at
}
