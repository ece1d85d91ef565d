package vm

import (
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// ErrMemory is the error of a program that would not fit.
var ErrMemory = errors.New("not enough memory")

// Compile makes the program that computes outputs. Leaves that hold a value (gorgonia.Let) are its parameters: their
// memory is read, and written by updates, in place where the device can: in the process's memory or, where the device does not compute
// there, as a device.Value; other values are copied to such a device and must stay as they are. All other leaves must be fed to each Run.
func Compile(outputs gorgonia.Nodes, o Options) (*Program, error) {
	if err := check(outputs, o); err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	g, err := lower(outputs, o.Precision)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	if o.Recompute {
		g.recompute()
	}
	g.fuse()
	preludes, err := g.hoist(o.Invariant)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	if err := g.sort(); err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	g.resolveViews()
	g.live()
	g.holdKept()
	g.reuse()
	g.collectKept()

	p := &Program{device: o.Device, options: o, graph: g, steps: g.steps, preludes: preludes, inputs: map[*value]device.Memory{}, converted: map[*value]host{}}
	if err := p.build(); err != nil {
		return nil, errors.Join(fmt.Errorf("compile: %w", err), p.Close())
	}
	return p, nil
}

func check(outputs gorgonia.Nodes, o Options) error {
	if o.Device == nil {
		return errors.New("no device: set Options.Device")
	}
	if len(outputs) == 0 {
		return errors.New("no outputs")
	}
	for i, n := range outputs {
		if n == nil {
			return fmt.Errorf("output %d is nil: was the scope's error checked?", i)
		}
	}
	for _, k := range []op.Kind{op.Feature, op.Exact} {
		if t := o.Precision.dtype(k); !o.Device.Has(t) {
			return fmt.Errorf("device %s does not compute in %v", o.Device.Name(), t)
		}
	}
	return nil
}

// build gives the leaves their memory, compiles the kernels and plans the arena.
func (p *Program) build() error {
	varies := map[*value]bool{}
	p.updated = map[*value]bool{}
	for _, s := range p.steps {
		for _, i := range updates(s.spec) {
			v := s.in[i].root
			if v.source != bound {
				return fmt.Errorf("%s: updates %s, which is not a leaf with a value", s.place, v.name)
			}
			varies[v] = true
			p.updated[v] = true
		}
	}
	for _, n := range p.options.Vary {
		if v := p.graph.values[n]; v != nil {
			varies[v.root] = true
		}
	}
	if err := p.compileSteps(varies); err != nil {
		return err
	}
	return p.plan()
}

// compileSteps gives a parameter to the device when the first of its kernels is compiled, and gives the device's copy back when the last one
// is, if none of them reads it: kernels that hold a weight rearranged need not have all weights there at once.
func (p *Program) compileSteps(varies map[*value]bool) error {
	compiling := map[*value]int{} // inputs of kernels that are still to be compiled
	read := map[*value]bool{}
	for _, s := range p.steps {
		if s.isView() {
			continue
		}
		for _, v := range s.in {
			compiling[v.root]++
		}
	}
	for _, v := range p.graph.outputs {
		read[v.root] = true
	}
	for _, v := range p.graph.leaves {
		if v.source == bound && compiling[v] == 0 { // an output
			if err := p.bind(v, varies[v]); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	for _, s := range p.steps {
		if s.isView() {
			continue
		}
		for _, v := range s.in {
			if v.root.source == bound && v.root.ptr == nil {
				if err := p.bind(v.root, varies[v.root]); err != nil {
					return fmt.Errorf("%s: %w", v.root.name, err)
				}
			}
		}
		before := p.device.Allocated()
		if err := p.compileStep(s, varies); err != nil {
			return fmt.Errorf("%s: %w", s.place, err)
		}
		p.memory.Kernels += p.device.Allocated() - before
		unread := s.unread()
		for i, v := range s.in {
			r := v.root
			read[r] = read[r] || !slices.Contains(unread, i)
			if compiling[r]--; compiling[r] > 0 || read[r] || varies[r] {
				continue
			}
			if err := p.uncopy(r); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return nil
}

// unread lists the inputs that the step's kernel doesn't read.
func (s *step) unread() []int {
	if u, ok := s.kernel.(device.Unreader); ok {
		return u.Unread()
	}
	return nil
}

func (p *Program) compileStep(s *step, varies map[*value]bool) error {
	r := device.Request{Spec: s.spec, LowMemory: p.options.LowMemory, Features: p.options.Precision.dtype(op.Feature)}
	shapes := make([]tensor.Shape, len(s.in))
	for i, v := range s.in {
		o := device.Operand{Shape: v.shape, DType: v.dtype}
		if v.root.source == bound && !varies[v.root] {
			o.Const, o.Identity = v.address(), offset(v.root.identity, v.offset)
		}
		r.In = append(r.In, o)
		shapes[i] = v.shape
		s.stats.bytes += v.bytes()
	}
	r.Out = device.Operand{Shape: s.out.shape, DType: s.out.dtype}
	s.stats.bytes += s.out.bytes()
	if c, ok := s.spec.(op.Counter); ok {
		s.stats.flops = c.FLOPs(shapes, s.out.shape)
	}
	k, err := p.device.Compile(r)
	if err != nil {
		return err
	}
	s.kernel = k
	s.args = make([]device.Pointer, len(s.in))
	if n := k.Workspace(); n > 0 {
		s.workspace = &value{name: s.place + ": workspace", shape: tensor.Shape{int(n)}, first: s.index, last: s.index}
		s.workspace.root = s.workspace
	}
	return nil
}

// plan places all computed values and workspaces in one arena and allocates it.
func (p *Program) plan() error {
	var placed []*value
	var items []item
	hold := func(v *value, bytes int64) {
		placed = append(placed, v)
		items = append(items, item{v.first, v.last, bytes})
	}
	for _, s := range p.steps {
		if s.out.root == s.out && s.kernel != nil && !s.out.kept {
			hold(s.out, s.out.bytes())
		}
		if s.workspace != nil {
			hold(s.workspace, s.kernel.Workspace())
		}
	}
	packed := pack(items)
	p.memory.Arena, p.memory.LowerBound = packed.size, lowerBound(items)
	if err := p.fits(items); err != nil {
		return err
	}
	arena, err := p.device.Alloc(packed.size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMemory, err)
	}
	p.arena = &arena
	for i, v := range placed {
		v.arena = packed.offsets[i]
		v.ptr = offset(arena.Ptr, v.arena)
	}
	return nil
}

// fits compares what the program takes with what there is, and names the place where it takes most.
func (p *Program) fits(items []item) error {
	limit := p.options.MemoryLimit
	held := p.memory.Kernels + p.memory.Copies
	if limit == 0 {
		if limit = p.device.Available(); limit == 0 {
			return nil
		}
		held = 0 // already allocated, hence not available
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
	at := peak(items)
	s := p.steps[min(at, len(p.steps)-1)]
	where := s.place
	if s.segment != 0 {
		where += fmt.Sprintf(" (segment %d)", s.segment)
	}
	return fmt.Errorf("%w on %s: the program takes %s (%s of values at once, most of them at %s; %s of kernels' copies of weights), %s may be used",
		ErrMemory, p.device.Name(), formatBytes(need), formatBytes(p.memory.Arena), where, formatBytes(p.memory.Kernels), formatBytes(limit))
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

// bind gives a parameter's value to the device.
func (p *Program) bind(v *value, written bool) error {
	d, err := denseOf(v.held)
	if err != nil {
		return err
	}
	if !v.takes(d) {
		return fmt.Errorf("value of shape %v, want %v", []int(d.shape), []int(v.shape))
	}
	v.identity = d.ptr
	if p.inPlace(d, v) {
		v.ptr = d.ptr
		return nil
	}
	if d.on != nil && d.on != p.device {
		return fmt.Errorf("value on %s: want one on %s or in the process's memory", d.on.Name(), p.device.Name())
	}
	if written {
		return fmt.Errorf("value of %v changes between runs: want %v in memory that %s reaches", d.dtype, v.dtype, p.device.Name())
	}
	if d, err = d.local(); err != nil {
		return err
	}
	if s, ok := p.device.(device.Sharer); ok && d.dtype == v.dtype {
		if v.copied, err = s.Constants().Hold(p.device, d.raw()); err != nil {
			return fmt.Errorf("%w: %w", ErrMemory, err)
		}
		v.shared = d.raw()
	} else if v.copied, err = p.device.Alloc(v.bytes()); err != nil {
		return fmt.Errorf("%w: %w", ErrMemory, err)
	}
	p.memory.Copies += v.copied.Bytes
	v.ptr = v.copied.Ptr
	if v.shared != nil {
		return nil
	}
	return p.upload(v, d)
}

// inPlace tells whether kernels can read and write a value where it lies.
func (p *Program) inPlace(h host, v *value) bool {
	return h.dtype == v.dtype && (h.on == p.device || h.on == nil && p.device.HostMemory())
}

// uncopy gives the device's copy of a parameter back, if there is one.
func (p *Program) uncopy(v *value) error {
	m := v.copied
	if m.Ptr == nil {
		return nil
	}
	v.copied, v.ptr = device.Memory{}, nil
	p.memory.Copies -= m.Bytes
	if v.shared != nil {
		return p.device.(device.Sharer).Constants().Drop(p.device, v.shared)
	}
	return p.device.Free(m)
}
