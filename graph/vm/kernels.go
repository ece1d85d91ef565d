package vm

import (
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// param is a leaf that holds a value: kernels read it in place, or the device's copy of it, or neither if they have
// rearranged it.
type param struct {
	operand
	node     *gorgonia.Node
	identity device.Pointer                // the value's address; see device.Operand
	updated  bool                          // the program writes it
	varies   bool                          // its bytes may change between runs
	read     bool                          // by a kernel, or because it is an output
	copied   device.Memory                 // the device's copy; zero where the value is read in place
	shared   *device.Held[device.Constant] // the copy, if it is the device's for all programs; else nil
}

// call is a step that a device runs.
type call struct {
	spec      op.Spec
	place     string
	kernel    device.Kernel
	in        []operand
	out       operand
	workspace address
	prelude   *prelude // nil for what runs in every Run
	stats     stats
}

// unread lists the inputs that the kernel doesn't read.
func (c *call) unread() []int {
	if u, ok := c.kernel.(device.Unreader); ok {
		return u.Unread()
	}
	return nil
}

// kernels gives the leaves their memory and compiles the kernels.
func (c *compilation) kernels() error {
	c.bindLeaves()
	if err := c.markVarying(); err != nil {
		return err
	}
	for i, v := range c.graph.invariant {
		c.program.preludes = append(c.program.preludes, newPrelude(v, c.program.newSpace(), c.graph.alone(v)))
		c.program.preludes[i].input = slices.IndexFunc(c.program.inputs, func(in *input) bool { return in.node == v.node })
	}
	if err := c.compileSteps(); err != nil {
		return err
	}
	return c.setMilestones()
}

// setMilestones finds the calls after which all outputs of each milestone are there.
func (c *compilation) setMilestones() error {
	last := map[*value]int{} // of a root: how many calls there are up to the last one that writes it
	calls := 0
	for _, s := range c.graph.steps {
		if s.isView() {
			continue
		}
		calls++
		last[s.out.root] = calls
		for _, i := range s.updates() {
			last[s.in[i].root] = calls
		}
	}
	after := 0
	for i, outputs := range c.options.Milestones {
		for _, n := range outputs {
			k := slices.Index(c.outputs, n)
			if k < 0 {
				return fmt.Errorf("milestone %d: %s is no output", i, nodeName(n))
			}
			after = max(after, last[c.graph.outputs[k].root])
		}
		c.program.milestones = append(c.program.milestones, after)
	}
	return nil
}

// bindLeaves gives each leaf a space of its own.
func (c *compilation) bindLeaves() {
	p := c.program
	for _, v := range c.graph.leaves {
		v.memory = address{space: p.newSpace()}
		if v.source == fed {
			p.inputs = append(p.inputs, &input{operand: v.operand(), node: v.node})
			continue
		}
		c.params[v] = &param{operand: v.operand(), node: v.node}
		p.params = append(p.params, c.params[v])
	}
}

// markVarying finds the parameters that kernels must not rearrange once and for all.
func (c *compilation) markVarying() error {
	for _, s := range c.graph.steps {
		for _, i := range s.updates() {
			v := s.in[i].root
			if v.source != bound {
				return fmt.Errorf("%s: updates %s, which is not a leaf with a value", s.place, v.name)
			}
			c.params[v].varies, c.params[v].updated = true, true
		}
	}
	for _, n := range c.options.Vary {
		if v := c.graph.values[n]; v != nil && v.root.source == bound {
			c.params[v.root].varies = true
		}
	}
	return nil
}

// compileSteps gives a parameter to the device when the first of its kernels is compiled, and frees the device's copy
// when the last one is, if none of them reads it: kernels that hold a weight rearranged need not have all weights there
// at once.
func (c *compilation) compileSteps() error {
	p := c.program
	compiling := map[*param]int{} // inputs of kernels that are still to be compiled
	for _, s := range c.graph.steps {
		if s.isView() {
			continue
		}
		for _, v := range s.in {
			if b := c.params[v.root]; b != nil {
				compiling[b]++
			}
		}
	}
	for _, v := range c.graph.outputs {
		if b := c.params[v.root]; b != nil {
			b.read = true
		}
	}
	for _, v := range c.graph.leaves {
		if b := c.params[v]; b != nil && compiling[b] == 0 { // an output
			if err := p.bind(b, v.held); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	for _, s := range c.graph.steps {
		if s.isView() {
			continue
		}
		for _, v := range s.in {
			if b := c.params[v.root]; b != nil && p.base[b.at.space] == nil {
				if err := p.bind(b, v.root.held); err != nil {
					return fmt.Errorf("%s: %w", v.root.name, err)
				}
			}
		}
		before := p.device.Allocated()
		made, err := c.compileStep(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.place, err)
		}
		p.memory.Packed += p.device.Allocated() - before
		unread := made.unread()
		for i, v := range s.in {
			b := c.params[v.root]
			if b == nil {
				continue
			}
			b.read = b.read || !slices.Contains(unread, i)
			if compiling[b]--; compiling[b] > 0 || b.read || b.varies {
				continue
			}
			if err := p.uncopy(b); err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
		}
	}
	return nil
}

// compileStep adds the step's call to the program. Computed values have no address yet: see arena.
func (c *compilation) compileStep(s *step) (*call, error) {
	p := c.program
	r := device.Request{Spec: s.spec, LowMemory: p.options.LowMemory, Features: p.options.Precision.dtype(op.Feature)}
	made := &call{spec: s.spec, place: s.place}
	shapes := make([]tensor.Shape, len(s.in))
	for i, v := range s.in {
		o := device.Operand{Shape: v.shape, DType: v.dtype}
		if b := c.params[v.root]; b != nil && !b.varies {
			o.Const, o.Identity = p.base.address(v.at()), offset(b.identity, v.offset)
		}
		r.In = append(r.In, o)
		shapes[i] = v.shape
		made.stats.bytes += v.bytes()
	}
	r.Out = device.Operand{Shape: s.out.shape, DType: s.out.dtype}
	made.stats.bytes += s.out.bytes()
	if f, ok := s.spec.(op.Counter); ok {
		made.stats.flops = f.FLOPs(shapes, s.out.shape)
	}
	if s.prelude != nil {
		made.prelude = p.preludes[slices.Index(c.graph.invariant, s.prelude)]
	}
	var err error
	if made.kernel, err = p.device.Compile(r); err != nil {
		return nil, err
	}
	p.calls = append(p.calls, made)
	return made, nil
}

// bind gives a parameter's value to the device.
func (p *Program) bind(b *param, held gorgonia.Value) error {
	d, err := denseOf(held)
	if err != nil {
		return err
	}
	if !b.takes(d) {
		return fmt.Errorf("value of shape %v, want %v", []int(d.shape), []int(b.shape))
	}
	b.identity = d.ptr
	if p.inPlace(d, b.dtype) {
		p.base[b.at.space] = d.ptr
		return nil
	}
	if d.on != nil && d.on != p.device {
		return fmt.Errorf("value on %s: want one on %s or in the process's memory", d.on.Name(), p.device.Name())
	}
	if b.varies {
		return fmt.Errorf("value of %v changes between runs: want %v in memory that %s reaches", d.dtype, b.dtype,
			p.device.Name())
	}
	if d, err = d.local(); err != nil {
		return err
	}
	if s, ok := p.device.(device.Sharer); ok && d.dtype == b.dtype {
		src := d.raw()
		b.shared, err = s.Constants().Hold(p.device, device.ConstantOf(src), b.bytes(), func(m device.Memory) error {
			return p.device.Upload(m.Ptr, src)
		})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMemory, err)
		}
		b.copied = b.shared.Memory
	} else if b.copied, err = p.device.Alloc(b.bytes()); err != nil {
		return fmt.Errorf("%w: %w", ErrMemory, err)
	}
	p.memory.Copies += b.copied.Bytes
	p.base[b.at.space] = b.copied.Ptr
	if b.shared != nil {
		return nil
	}
	return p.upload(b.copied.Ptr, b.dtype, d)
}

// inPlace reports whether kernels can read and write a value as an element type in place.
func (p *Program) inPlace(h host, t device.DType) bool {
	return h.dtype == t && (h.on == p.device || h.on == nil && p.device.HostMemory())
}

// uncopy frees the device's copy of a parameter, if there is one.
func (p *Program) uncopy(b *param) error {
	m := b.copied
	if m.Ptr == nil {
		return nil
	}
	b.copied, p.base[b.at.space] = device.Memory{}, nil
	p.memory.Copies -= m.Bytes
	if held := b.shared; held != nil {
		b.shared = nil
		return p.device.(device.Sharer).Constants().Drop(p.device, held)
	}
	return p.device.Free(m)
}

// Unread lists the parameters whose values the program doesn't read any more: its kernels hold them rearranged, or the
// device has a copy. Their owner may discard the pages for as long as the program lives but must keep the address range
// reserved, for kernels know a rearranged weight again by its address, and must restore the bytes before another
// program is compiled from them.
func (p *Program) Unread() gorgonia.Nodes {
	read := map[device.Pointer]bool{} // by address: two parameters may be one tensor
	for _, b := range p.params {
		if b.read && b.copied.Ptr == nil {
			read[b.identity] = true
		}
	}
	var nodes gorgonia.Nodes
	for _, b := range p.params {
		if b.node.Op() == nil && !read[b.identity] { // constants have an operation
			nodes = append(nodes, b.node)
		}
	}
	return nodes
}
