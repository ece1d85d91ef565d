package vm

import (
	"errors"
	"fmt"
	"io"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// ErrMemory is the error of a program that would not fit.
var ErrMemory = errors.New("not enough memory")

// Compile makes the program that computes outputs. Leaves that hold a value (gorgonia.Let) are its parameters: their
// memory is read, and written by updates, in place where the device can: in the process's memory or, where the device
// does not compute there, as a device.Value; other values are copied to such a device and must stay as they are. All
// other leaves must be fed to each Run.
func Compile(outputs gorgonia.Nodes, o Options) (*Program, error) {
	c, err := newCompilation(outputs, o)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	for _, pass := range passes {
		if err := pass.run(c); err != nil {
			return nil, errors.Join(fmt.Errorf("compile: %w", err), c.program.Close())
		}
	}
	return c.program, nil
}

// compilation is shared by the passes: they change the graph, and the last two fill the program.
type compilation struct {
	outputs gorgonia.Nodes
	options Options
	graph   *graph
	program *Program
	params  map[*value]*param // of graph.leaves
	held    []holding         // the memory of the arena; see arena.go
}

// pass is a stage of compilation.
type pass struct {
	name string
	run  func(*compilation) error
}

// passes are all stages, in their order. The first ones change the graph; kernels and arena make the program. Kernels
// come before the arena, since their workspaces are in it, too.
var passes = []pass{
	{"lower", (*compilation).lower},
	{"recompute", func(c *compilation) error {
		if c.options.Recompute {
			c.graph.recompute()
		}
		return nil
	}},
	{"fuse", func(c *compilation) error { c.graph.fuse(); return nil }},
	{"hoist", func(c *compilation) error { return c.graph.hoist(c.options.Invariant) }},
	{"widen", func(c *compilation) error { c.graph.widen(); return nil }},
	{"sort", func(c *compilation) error { return c.graph.sort() }},
	{"views", func(c *compilation) error { c.graph.resolveViews(); return nil }},
	{"liveness", func(c *compilation) error { c.graph.live(); return nil }},
	{"reuse", func(c *compilation) error { c.graph.reuse(); return nil }},
	{"kernels", (*compilation).kernels},
	{"arena", (*compilation).arena},
}

func newCompilation(outputs gorgonia.Nodes, o Options) (*compilation, error) {
	if o.Device == nil {
		return nil, errors.New("no device: set Options.Device")
	}
	if len(outputs) == 0 {
		return nil, errors.New("no outputs")
	}
	for i, n := range outputs {
		if n == nil {
			return nil, fmt.Errorf("output %d is nil: was the scope's error checked?", i)
		}
	}
	for _, k := range []op.Kind{op.Feature, op.Exact} {
		if t := o.Precision.dtype(k); !o.Device.Has(t) {
			return nil, fmt.Errorf("device %s does not compute in %v", o.Device.Name(), t)
		}
	}
	p := &Program{device: o.Device, options: o, outputs: outputs, base: make([]device.Pointer, firstFree)}
	return &compilation{outputs: outputs, options: o, program: p, params: map[*value]*param{}}, nil
}

// Dump writes the program as text, after each pass of the compiler: its steps with their values, and, as soon as a pass
// has decided them, the values' lifetimes, kernels and places in memory. The passes run again for it, but for the last
// two.
func (p *Program) Dump(w io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	c, err := newCompilation(p.outputs, p.options)
	if err != nil {
		return err
	}
	d := dumper{w: w}
	for _, pass := range passes {
		switch pass.name {
		case "kernels":
			d.calls = p.calls
		case "arena":
			d.placed = true
		default:
			d.live = d.live || pass.name == "liveness"
			if err := pass.run(c); err != nil {
				return err
			}
		}
		d.graph(pass.name, c.graph)
	}
	d.memory(p.memory)
	return d.err
}
