package vm

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/histdist/histdist/graph/device"
)

// prelude is the part of a program that depends on one invariant input alone (see hoist). The values that the rest of
// the program reads of it are kept, in an entry for each fed value.
type prelude struct {
	name  string // the input's
	input int    // its place among the program's inputs
	alone bool   // only the prelude's calls read the input
	space space  // of the kept values
	bytes int64  // of an entry

	seed  maphash.Seed
	known map[uint64]*entry
	age   []*entry // the longest unused first

	// On a device.Recorder the program works on a copy of an entry, whose address never changes.
	stable device.Memory
	copied *entry // whose copy it is; nil if it matches no known entry

	// In this run:
	now   *entry
	ready bool // the values are kept, so the prelude's calls need not run
}

// entry has a prelude's results for one value of its input.
type entry struct {
	hash   uint64
	input  []byte
	memory device.Memory
}

// keptBytes bounds what one prelude keeps; one entry is always kept. The time embeddings of Stable Diffusion's U-Net
// take 80 kB a timestep, and the keys and values of a context of 197 tokens 20 MB.
const keptBytes = 64 << 20

func newPrelude(input *value, s space, alone bool) *prelude {
	return &prelude{name: input.name, space: s, alone: alone, seed: maphash.MakeSeed(), known: map[uint64]*entry{}}
}

// prepare looks up what is kept for the values that were fed to this run, and makes room where nothing is.
func (p *Program) prepare(r *run) error {
	for _, pre := range p.preludes {
		h, err := r.feeds[pre.input].local()
		if err != nil {
			return fmt.Errorf("%s: %w", pre.name, err)
		}
		if err := pre.find(p.device, h.raw()); err != nil {
			return fmt.Errorf("%s: %w", pre.name, err)
		}
		if r.frame[pre.space], err = p.memoryOf(pre); err != nil {
			return fmt.Errorf("%s: %w", pre.name, err)
		}
	}
	return nil
}

// memoryOf is where this run finds what a prelude keeps, or puts it.
func (p *Program) memoryOf(pre *prelude) (device.Pointer, error) {
	d, ok := p.device.(device.Recorder)
	if !ok || pre.bytes == 0 {
		return pre.now.memory.Ptr, nil
	}
	if pre.stable.Ptr == nil {
		var err error
		if pre.stable, err = d.Alloc(pre.bytes); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMemory, err)
		}
	}
	if !pre.ready {
		pre.copied = nil
		return pre.stable.Ptr, nil
	}
	if pre.copied != pre.now {
		pre.copied = pre.now
		return pre.stable.Ptr, d.Copy(pre.stable.Ptr, pre.now.memory.Ptr, pre.bytes)
	}
	return pre.stable.Ptr, nil
}

// keep copies the results of this run's preludes to their entries.
func (p *Program) keep() error {
	d, ok := p.device.(device.Recorder)
	for _, pre := range p.preludes {
		if !ok || pre.ready || pre.bytes == 0 {
			continue
		}
		if err := d.Copy(pre.now.memory.Ptr, pre.stable.Ptr, pre.bytes); err != nil {
			return err
		}
		pre.copied = pre.now
	}
	return nil
}

// unused reports whether nothing in this run reads an input.
func (p *Program) unused(input int) bool {
	for _, pre := range p.preludes {
		if pre.input == input {
			return pre.ready && pre.alone
		}
	}
	return false
}

// find returns the entry of a value of the input or begins a new one, which forget removes again if the run fails.
func (pre *prelude) find(d device.Device, input []byte) error {
	if n := len(pre.age); n > 0 && bytes.Equal(pre.age[n-1].input, input) { // as in the run before
		pre.now, pre.ready = pre.age[n-1], true
		return nil
	}
	hash := maphash.Bytes(pre.seed, input)
	if e := pre.known[hash]; e != nil && bytes.Equal(e.input, input) {
		pre.now, pre.ready = e, true
		pre.age = append(slices.DeleteFunc(pre.age, func(other *entry) bool { return other == e }), e)
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

// forget frees an entry.
func (pre *prelude) forget(d device.Device, e *entry) error {
	delete(pre.known, e.hash)
	if pre.copied == e {
		pre.copied = nil
	}
	pre.age = slices.DeleteFunc(pre.age, func(other *entry) bool { return other == e })
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

// close frees all that is kept.
func (pre *prelude) close(d device.Device) error {
	var errs []error
	for len(pre.age) > 0 {
		errs = append(errs, pre.forget(d, pre.age[0]))
	}
	if pre.stable.Ptr != nil {
		errs = append(errs, d.Free(pre.stable))
	}
	return errors.Join(errs...)
}
