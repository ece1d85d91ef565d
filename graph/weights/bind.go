package weights

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/internal/finite"
	"github.com/histdist/histdist/internal/parallel"
)

// Mapping says how the names of a file become those of the graph. The zero value takes them as they are.
//
// Shapes need no mapping: a parameter of four dimensions is a convolution's, [KH,KW,I,O] for the file's [O,I,KH,KW],
// and a linear parameter [out,in] takes [out,in,1,1] too, for old files have linear layers as 1×1 convolutions.
type Mapping struct {
	// Rename returns the parameter's name for a tensor of the file; nil keeps all names.
	Rename func(file string) string
	// Ignore reports whether a tensor of the file may be left over; nil means none may.
	Ignore func(file string) bool
}

// MismatchError lists everything in which a file and a graph's parameters differ.
type MismatchError struct {
	Path      string
	Missing   []string // parameters without a tensor
	Surplus   []string // tensors without a parameter
	Misshaped []string // parameters whose tensor has another shape or type, with both
	Prefix    string   // in front of the names of all that is missing; "" for none
}

// shown is how many names of each kind an error lists.
const shown = 10

func (e *MismatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s does not fit the network", e.Path)
	if e.Prefix != "" {
		fmt.Fprintf(&b, ": %q precedes the tensors' names: save the network's own state_dict, without what wraps it",
			e.Prefix)
		return b.String()
	}
	list := func(what string, names []string) {
		if len(names) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n  %s (%d):", what, len(names))
		for _, n := range names[:min(shown, len(names))] {
			fmt.Fprintf(&b, "\n    %s", n)
		}
		if more := len(names) - shown; more > 0 {
			fmt.Fprintf(&b, "\n    … and %d more", more)
		}
	}
	list("missing in the file", e.Missing)
	list("not in the network", e.Surplus)
	list("another shape or type", e.Misshaped)
	return b.String()
}

// memory has a tensor's float32 values for all nodes that share them. It keeps its address as long as the store is
// open, even when its pages are released, because devices identify packed weights by the address of the originals.
type memory struct {
	values    []float32
	source    *stored
	converted *device.Memory // nil: values are the file's mapped bytes
	filled    bool
	damaged   atomic.Bool // found when it was filled
	checked   bool        // all values are finite: see finite.Squares
	nodes     map[*gorgonia.Node]bool
}

// Bind gives every parameter its value by gorgonia.Let. Tensors that are float32 in the file and not a convolution's
// weight are bound without a copy: a program may write to them, the file stays as it is. All others are converted once,
// into memory outside Go's heap. A tensor that is bound to nodes of several graphs has the same memory in all of them.
// If a tensor is missing, left over or of another shape the error is a *MismatchError, if a value is NaN, infinite or
// too large a *DamagedError; then nothing is bound.
//
// The store keeps the nodes, and with them their graph, until they are released or it is closed.
func (s *Store) Bind(params gorgonia.Nodes, m Mapping) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sources, err := s.match(params, m)
	if err != nil {
		return fmt.Errorf("bind weights: %w", err)
	}
	places := make([]*memory, len(params))
	for i, n := range params {
		if places[i], err = s.place(sources[i], n.Dims() == 4); err != nil {
			return fmt.Errorf("bind weights: %s: %w", n.Name(), err)
		}
	}
	var jobs []func()
	var converted []*memory
	for _, p := range places {
		if !p.filled {
			jobs = append(jobs, p.fill()...)
			converted = append(converted, p)
			p.filled = true
		}
	}
	parallel.For(len(jobs), func(i int) { jobs[i]() })
	for _, p := range converted {
		p.checked = !p.damaged.Load()
	}
	if err := s.checkPlaces(places); err != nil {
		return err
	}
	for _, p := range converted {
		if p.source.asFile != nil && p.source.asFile.converted == nil {
			continue // nodes have these pages and may have written to them
		}
		if err := p.source.file.drop(p.source.data); err != nil {
			return fmt.Errorf("bind weights: %s: %w", p.source.name, err)
		}
	}
	for i, n := range params {
		value := tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(places[i].values))
		if err := gorgonia.Let(n, value); err != nil {
			return fmt.Errorf("bind weights: %s: %w", n.Name(), err)
		}
		s.unbind(n)
		s.bound[n] = places[i]
		places[i].nodes[n] = true
	}
	return nil
}

// Compare reports whether Bind would find a value for every parameter, without binding any: the same errors.
func (s *Store) Compare(params gorgonia.Nodes, m Mapping) error {
	_, err := s.match(params, m)
	return err
}

// match finds the tensor of each parameter.
func (s *Store) match(params gorgonia.Nodes, m Mapping) ([]*stored, error) {
	e := &MismatchError{Path: s.path}
	byName := make(map[string]*stored, len(s.tensors))
	for _, name := range slices.Sorted(maps.Keys(s.tensors)) {
		t, as := s.tensors[name], name
		if m.Rename != nil {
			as = m.Rename(name)
		}
		if other := byName[as]; other != nil {
			return nil, fmt.Errorf("%s: tensors %q and %q are both renamed to %q", s.path, other.name, name, as)
		}
		byName[as] = t
	}
	used := map[*stored]bool{}
	sources := make([]*stored, len(params))
	for i, n := range params {
		t := byName[n.Name()]
		want := fileShape(n.Shape())
		switch {
		case t == nil:
			e.Missing = append(e.Missing, n.Name())
			continue
		case !fits(t.shape, want):
			e.Misshaped = append(e.Misshaped, fmt.Sprintf("%s: %v in the file, want %v", t.name, t.shape, want))
		case !isFloat(t.dtype):
			e.Misshaped = append(e.Misshaped, fmt.Sprintf("%s: %s in the file, want F32, F16, BF16 or F64", t.name, t.dtype))
		}
		sources[i] = t
		used[t] = true
	}
	for _, name := range slices.Sorted(maps.Keys(s.tensors)) {
		if !used[s.tensors[name]] && (m.Ignore == nil || !m.Ignore(name)) {
			e.Surplus = append(e.Surplus, name)
		}
	}
	e.Prefix = unknownPrefix(e.Missing, e.Surplus)
	if len(e.Missing)+len(e.Surplus)+len(e.Misshaped) > 0 {
		return nil, e
	}
	return sources, nil
}

// fits compares shapes in the file's layout.
func fits(have, want []int) bool {
	if len(want) == 2 && len(have) == 4 && have[2] == 1 && have[3] == 1 {
		have = have[:2]
	}
	return slices.Equal(have, want)
}

// place returns where the values of a tensor are or will be.
func (s *Store) place(t *stored, kernel bool) (*memory, error) {
	at := &t.asFile
	if kernel {
		at = &t.asKernel
	}
	if *at != nil {
		return *at, nil
	}
	p := &memory{source: t, nodes: map[*gorgonia.Node]bool{}}
	asIs := t.strides == nil && !t.aliased && len(t.additions) == 0
	if !kernel && t.dtype == safetensors.F32 && asIs && isAligned(t.data) {
		p.values, p.filled = floatsOf(t.data), true
	} else {
		n := elements(t.shape)
		m, err := s.memory.Alloc(int64(n) * 4)
		if err != nil {
			return nil, err
		}
		p.converted = &m
		p.values = device.Slice[float32](m.Ptr, n)
	}
	*at = p
	return p, nil
}

// fill returns the jobs that convert the tensor and see whether its values are finite, to be run in any order.
func (p *memory) fill() []func() {
	t := p.source
	p.damaged.Store(false)
	n, step := len(p.values), grain
	convert := func(data []byte, i, end int) bool {
		t.read(p.values[i:end], data[i*int(t.dtype.Size()):], i)
		return finite.Index(p.values[i:end], finite.Squares) < 0
	}
	if p == t.asKernel {
		c := kernelOf(t.shape)
		n, step = c.O, c.step()
		convert = func(data []byte, o, end int) bool {
			return c.toGraph(p.values, data, t, o, end, finite.Squares)
		}
	}
	part := func(data []byte, i, end int) {
		if !convert(data, i, end) {
			p.damaged.Store(true)
		}
	}
	if t.strides != nil { // is made dense once, not for every part
		return []func(){func() { part(t.dense(), 0, n) }}
	}
	var jobs []func()
	for i := 0; i < n; i += step {
		jobs = append(jobs, func() { part(t.data, i, min(i+step, n)) })
	}
	return jobs
}

// Release frees the pages of parameters whose values no program reads any more, for instance because the device has
// rearranged all of them. Memory that nodes of other graphs share stays until these are released too. Released values
// must not be read or written; another Bind makes them again, as they are in the file and at the same address. Nodes
// that the store did not bind are left alone.
func (s *Store) Release(nodes gorgonia.Nodes) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range nodes {
		p := s.unbind(n)
		if p == nil || len(p.nodes) > 0 {
			continue
		}
		if p.converted == nil {
			if err := p.source.file.discard(p.source.data); err != nil {
				return fmt.Errorf("release %s: %w", n.Name(), err)
			}
			continue
		}
		p.filled = false
		if err := dropMemory(bytesOf(p.values)); err != nil {
			return fmt.Errorf("release %s: %w", n.Name(), err)
		}
	}
	return nil
}

// unbind forgets a node and returns the memory that it had.
func (s *Store) unbind(n *gorgonia.Node) *memory {
	p := s.bound[n]
	if p != nil {
		delete(s.bound, n)
		delete(p.nodes, n)
	}
	return p
}
