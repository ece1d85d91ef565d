package vm

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
)

// prelude is the part of a program that depends on one invariant input alone. What the rest of the program reads of it is
// kept, for each value that was fed, so that it runs once for each and not in every Run.
type prelude struct {
	input *value
	kept  []*value // roots; arena is their offset in an entry's memory
	bytes int64    // of an entry
	seed  maphash.Seed
	known map[uint64]*entry
	age   []*entry // the longest unused first
	ready bool     // in this run: what is kept is there, the prelude's steps need not run
	now   *entry   // of this run
	alone bool     // the prelude's steps are all that reads the input

	// On a device.Recorder the program works on a copy of an entry, which always lies in one place.
	place  *device.Memory
	placed *entry // what lies there, nil if it is no entry that is known
}

// entry is what a prelude computed from one value of its input.
type entry struct {
	hash   uint64
	input  []byte
	memory device.Memory
}

// keptBytes bounds what one prelude keeps; one entry is always kept. The time embeddings of Stable Diffusion's U-Net take 80 kB a
// timestep, and the keys and values of a context of 197 tokens 20 MB.
const keptBytes = 64 << 20

// hoist finds the steps that depend on one invariant input alone, and moves them before the others.
func (g *graph) hoist(inputs gorgonia.Nodes) ([]*prelude, error) {
	var preludes []*prelude
	of := map[*value]*prelude{}
	for _, n := range inputs {
		v := g.values[n]
		if v == nil {
			continue // the outputs don't depend on it
		}
		if v.source != fed || v.prod != nil {
			return nil, fmt.Errorf("invariant %s is not an input", n.Name())
		}
		p := &prelude{input: v, seed: maphash.MakeSeed(), known: map[uint64]*entry{}}
		preludes = append(preludes, p)
		of[v] = p
	}
	if len(preludes) == 0 {
		return nil, nil
	}
	for _, p := range preludes {
		p.alone = !p.input.output
	}
	const before = int64(1) << 40 // more than there are nodes
	for _, s := range g.steps {
		s.prelude = shared(s, of)
		for _, p := range preludes {
			p.alone = p.alone && (s.prelude == p || !slices.Contains(s.in, p.input))
		}
		if s.prelude == nil {
			continue
		}
		of[s.out] = s.prelude
		for i, p := range preludes {
			if p == s.prelude {
				s.key.major -= int64(len(preludes)-i) * before
			}
		}
	}
	return preludes, nil
}

// shared returns the prelude that a step belongs to: all that it reads is of that prelude or a parameter, and it updates nothing.
func shared(s *step, of map[*value]*prelude) *prelude {
	if len(updates(s.spec)) > 0 {
		return nil
	}
	var found *prelude
	for _, v := range s.in {
		if v.source == bound && v.prod == nil {
			continue
		}
		p := of[v]
		if p == nil || found != nil && p != found {
			return nil
		}
		found = p
	}
	return found
}

// holdKept makes what crosses from a prelude to the rest outlive every step, so that nothing takes its memory.
func (g *graph) holdKept() {
	for _, s := range g.steps {
		for _, v := range s.in {
			if v.prod != nil && v.prod.prelude != nil && v.prod.prelude != s.prelude {
				v.root.last = math.MaxInt - 1
			}
		}
	}
}

// collectKept lists the roots that each prelude keeps.
func (g *graph) collectKept() {
	for _, s := range g.steps {
		if r := s.out.root; s.prelude != nil && r == s.out && r.source == computed && r.last == math.MaxInt-1 {
			p := s.prelude
			r.kept = true
			r.arena = p.bytes
			p.bytes += aligned(r.bytes())
			p.kept = append(p.kept, r)
		}
	}
}

// prepare looks up what is kept for the values that were fed to this run, and makes room where nothing is.
func (p *Program) prepare(feeds map[*value]host) error {
	for _, pre := range p.preludes {
		h, err := feeds[pre.input].local()
		if err != nil {
			return fmt.Errorf("%s: %w", pre.input.name, err)
		}
		if err := pre.look(p.device, h.raw()); err != nil {
			return fmt.Errorf("%s: %w", pre.input.name, err)
		}
		at, err := p.placeOf(pre)
		if err != nil {
			return fmt.Errorf("%s: %w", pre.input.name, err)
		}
		for _, v := range pre.kept {
			v.ptr = offset(at, v.arena)
		}
	}
	return nil
}

// placeOf is where this run finds what a prelude keeps, or puts it.
func (p *Program) placeOf(pre *prelude) (device.Pointer, error) {
	d, ok := p.device.(device.Recorder)
	if !ok || pre.bytes == 0 {
		return pre.now.memory.Ptr, nil
	}
	if pre.place == nil {
		m, err := d.Alloc(pre.bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMemory, err)
		}
		pre.place = &m
	}
	if !pre.ready {
		pre.placed = nil
		return pre.place.Ptr, nil
	}
	if pre.placed != pre.now {
		pre.placed = pre.now
		return pre.place.Ptr, d.Copy(pre.place.Ptr, pre.now.memory.Ptr, pre.bytes)
	}
	return pre.place.Ptr, nil
}

// keep copies what this run's preludes computed to their entries.
func (p *Program) keep() error {
	d, ok := p.device.(device.Recorder)
	for _, pre := range p.preludes {
		if !ok || pre.ready || pre.bytes == 0 {
			continue
		}
		if err := d.Copy(pre.now.memory.Ptr, pre.place.Ptr, pre.bytes); err != nil {
			return err
		}
		pre.placed = pre.now
	}
	return nil
}

// needless tells whether nothing in this run reads a fed value.
func (p *Program) needless(v *value) bool {
	for _, pre := range p.preludes {
		if pre.input == v {
			return pre.ready && pre.alone
		}
	}
	return false
}

// look finds the entry of a value of the input or begins a new one, which forget removes again if the run fails.
func (pre *prelude) look(d device.Device, input []byte) error {
	if n := len(pre.age); n > 0 && bytes.Equal(pre.age[n-1].input, input) { // as in the run before
		pre.now, pre.ready = pre.age[n-1], true
		return nil
	}
	hash := maphash.Bytes(pre.seed, input)
	if e := pre.known[hash]; e != nil && bytes.Equal(e.input, input) {
		pre.now, pre.ready = e, true
		for i, other := range pre.age {
			if other == e {
				pre.age = append(append(pre.age[:i:i], pre.age[i+1:]...), e)
			}
		}
		return nil
	}
	if e := pre.known[hash]; e != nil { // another input of the same hash
		if err := pre.forget(d, e); err != nil {
			return err
		}
	}
	size := pre.bytes + int64(len(input))
	for len(pre.age) > 0 && int64(len(pre.age)+1)*size > keptBytes {
		if err := pre.forget(d, pre.age[0]); err != nil {
			return err
		}
	}
	m, err := d.Alloc(pre.bytes)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMemory, err)
	}
	e := &entry{hash, bytes.Clone(input), m}
	pre.known[hash] = e
	pre.age = append(pre.age, e)
	pre.now, pre.ready = e, false
	return nil
}

// forget gives an entry's memory back.
func (pre *prelude) forget(d device.Device, e *entry) error {
	delete(pre.known, e.hash)
	if pre.placed == e {
		pre.placed = nil
	}
	for i, other := range pre.age {
		if other == e {
			pre.age = append(pre.age[:i:i], pre.age[i+1:]...)
			break
		}
	}
	return d.Free(e.memory)
}

// abandon removes the entries that a run began and did not finish.
func (p *Program) abandon() error {
	var errs []error
	for _, pre := range p.preludes {
		if pre.now != nil && !pre.ready && pre.known[pre.now.hash] == pre.now {
			errs = append(errs, pre.forget(p.device, pre.now))
		}
		pre.now = nil
	}
	return errors.Join(errs...)
}

// closePreludes gives back all that is kept.
func (p *Program) closePreludes() error {
	var errs []error
	for _, pre := range p.preludes {
		for len(pre.age) > 0 {
			errs = append(errs, pre.forget(p.device, pre.age[0]))
		}
		if pre.place != nil {
			errs = append(errs, p.device.Free(*pre.place))
			pre.place = nil
		}
	}
	return errors.Join(errs...)
}
