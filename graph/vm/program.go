package vm

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
)

// Feeds are the values of the inputs for one run: a *tensor.Dense of the node's shape, float32 or float64 for features,
// int32 for ids, or a *device.Value. They are read during the run only.
type Feeds map[*gorgonia.Node]gorgonia.Value

// Set feeds float32 values to a node, which gives them its shape, and returns f.
func (f Feeds) Set(n *gorgonia.Node, values []float32) Feeds {
	f[n] = tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(values))
	return f
}

// Program is a compiled graph with its memory. It may be run again and again, by one goroutine at a time.
type Program struct {
	device   device.Device
	options  Options
	outputs  gorgonia.Nodes
	inputs   []*input
	params   []*param
	calls    []*call // in the order of running
	results  []result
	preludes []*prelude
	base     frame // addresses of the spaces that never move; nil for the others
	arena    device.Memory
	memory   MemoryReport
	record   recorder

	milestones []int // how many calls come before each
	recordPast recorder

	runs   int
	mu     sync.Mutex
	closed bool
	run    run // reused by each Run
}

// input is a leaf that each run is fed with.
type input struct {
	operand
	node      *gorgonia.Node
	memory    device.Memory // what fed values are converted or copied to, if one had to be
	converted host          // the last one in the process's memory, in the element type that it has on the device
}

// result is an output.
type result struct {
	operand
	fed     bool // it is an input, or a view of one
	updated bool // it is a parameter that the program writes
}

// run is the state of one Run.
type run struct {
	frame frame
	feeds []host           // of the program's inputs
	args  []device.Pointer // of the call that is running
}

// newSpace numbers a space without an address so far.
func (p *Program) newSpace() space {
	p.base = append(p.base, nil)
	return space(len(p.base) - 1)
}

// ErrClosed is the error of Run after Close.
var ErrClosed = errors.New("the program is closed")

var errBusy = errors.New("the program is running")

// Run computes the outputs, in the order that Compile got them. On a device that computes in the process's memory the
// results are views of the program's memory, valid until the next Run or Close; scalars come as [1]. On another device
// they are copies, and nil for parameters that the program updates: they stay where they are. When ctx ends, Run
// returns its error after the kernel that is running; the program can be run again.
func (p *Program) Run(ctx context.Context, feeds Feeds) (results []*tensor.Dense, err error) {
	return p.RunPast(ctx, feeds, nil)
}

// RunPast is Run and calls reached for each of Options.Milestones, in their order, as soon as the device has been asked
// for all that the outputs of this one and of those before it need. What reached asks of the device comes before the
// program's other work; it must not change what the program reads. Its error ends the run.
func (p *Program) RunPast(
	ctx context.Context, feeds Feeds, reached func(milestone int) error,
) (results []*tensor.Dense, err error) {
	if !p.mu.TryLock() {
		return nil, errBusy
	}
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	defer runtime.KeepAlive(feeds)
	r := &p.run
	r.frame = append(r.frame[:0], p.base...)
	defer func() { clear(r.feeds) }()
	if err := p.check(feeds); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.abandon()) }()
	if err := p.prepare(r); err != nil {
		return nil, err
	}
	if err := p.feed(r); err != nil {
		return nil, err
	}
	if err := p.compute(ctx, r, reached); err != nil {
		return nil, err
	}
	if err := p.keep(); err != nil {
		return nil, err
	}
	if err := p.device.Synchronize(); err != nil {
		return nil, err
	}
	for _, pre := range p.preludes {
		pre.ready = true
	}
	p.runs++
	return p.fetch(r)
}

// compute runs the calls, all at once where they are recorded.
func (p *Program) compute(ctx context.Context, r *run, reached func(int) error) error {
	if done, err := p.replay(ctx, r, reached); done || err != nil {
		return err
	}
	for i, calls := range p.parts(reached != nil) {
		if i > 0 {
			if err := reached(i - 1); err != nil {
				return err
			}
		}
		for _, c := range calls {
			if c.prelude != nil && c.prelude.ready {
				continue
			}
			if err := ctx.Err(); err != nil {
				return errors.Join(fmt.Errorf("stopped before %s: %w", c.place, err), p.device.Synchronize())
			}
			if err := p.runCall(c, r); err != nil {
				return fmt.Errorf("%s: %w", c.place, err)
			}
		}
	}
	return nil
}

// parts are the calls before each milestone and after the last one, or all of them in one.
func (p *Program) parts(cut bool) [][]*call {
	if !cut {
		return [][]*call{p.calls}
	}
	var parts [][]*call
	begin := 0
	for _, end := range p.milestones {
		parts = append(parts, p.calls[begin:end])
		begin = end
	}
	return append(parts, p.calls[begin:])
}

// located is the call with its addresses in this run; those of its inputs are overwritten by the next call.
func (r *run) located(c *call) device.Call {
	r.args = r.args[:0]
	for _, o := range c.in {
		r.args = append(r.args, r.frame.address(o.at))
	}
	return device.Call{
		Kernel: c.kernel, Out: r.frame.address(c.out.at), In: r.args,
		Workspace: r.frame.address(c.workspace),
	}
}

func (p *Program) runCall(c *call, r *run) error {
	l := r.located(c)
	begin := time.Now()
	if err := l.Kernel.Run(l.Out, l.In, l.Workspace); err != nil {
		return err
	}
	if p.options.Profile {
		if err := p.device.Synchronize(); err != nil {
			return err
		}
	}
	c.stats.time += time.Since(begin)
	if p.options.CheckFinite {
		return p.checkFinite(c, r)
	}
	return nil
}

// check reads the feeds, if they are the program's inputs.
func (p *Program) check(feeds Feeds) error {
	r := &p.run
	r.feeds = r.feeds[:0]
	var missing []string
	known := 0
	for _, in := range p.inputs {
		t, ok := feeds[in.node]
		if ok {
			known++
		}
		if t == nil || t == (*tensor.Dense)(nil) {
			missing = append(missing, fmt.Sprintf("%s %v", in.name, []int(in.shape)))
			continue
		}
		h, err := denseOf(t)
		switch {
		case err != nil:
			return fmt.Errorf("feed %s: %w", in.name, err)
		case !in.takes(h):
			return fmt.Errorf("feed %s: shape %v, want %v", in.name, []int(h.shape), []int(in.shape))
		case (h.dtype == device.Int32) != (in.dtype == device.Int32):
			return fmt.Errorf("feed %s: %v, want %v", in.name, h.dtype, in.dtype)
		}
		r.feeds = append(r.feeds, h)
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing feeds: %s", strings.Join(missing, ", "))
	}
	if known < len(feeds) {
		inputs := p.Inputs()
		for n := range feeds {
			if !slices.Contains(inputs, n) {
				return fmt.Errorf("feed %s: not an input of this program, which takes %s", nodeName(n), p.inputNames())
			}
		}
	}
	return nil
}

// feed gives the inputs their values. What a run does not read, because it was kept from an earlier one, is not copied.
func (p *Program) feed(r *run) error {
	for i, in := range p.inputs {
		if p.unused(i) {
			continue
		}
		at, err := p.feedOne(in, r.feeds[i])
		if err != nil {
			return fmt.Errorf("feed %s: %w", in.name, err)
		}
		r.frame[in.at.space] = at
	}
	return nil
}

func nodeName(n *gorgonia.Node) string {
	if n == nil {
		return "nil"
	}
	return n.Name()
}

func (p *Program) inputNames() string {
	var names []string
	for _, n := range p.Inputs() {
		names = append(names, n.Name())
	}
	if len(names) == 0 {
		return "none"
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

// feedOne returns where kernels read a fed value: in its place, or in a copy.
func (p *Program) feedOne(in *input, h host) (device.Pointer, error) {
	if p.inPlace(h, in.dtype) {
		return h.ptr, nil
	}
	h, err := h.local()
	if err != nil {
		return nil, err
	}
	if in.memory.Ptr == nil {
		if in.memory, err = p.device.Alloc(in.bytes()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMemory, err)
		}
	}
	if h.dtype != in.dtype {
		in.converted = h.as(in.dtype, in.converted)
		h = in.converted
	}
	return in.memory.Ptr, p.upload(in.memory.Ptr, in.dtype, h)
}

// upload copies a value of the process to the device, converted to an element type.
func (p *Program) upload(to device.Pointer, t device.DType, h host) error {
	if h.dtype != t {
		h = h.as(t, host{})
	}
	err := p.device.Upload(to, h.raw())
	runtime.KeepAlive(h)
	return err
}

// fetch returns the outputs.
func (p *Program) fetch(r *run) ([]*tensor.Dense, error) {
	out := make([]*tensor.Dense, len(p.results))
	for i, o := range p.results {
		if o.updated && !p.device.HostMemory() {
			continue
		}
		h, err := p.download(o.operand, r, !p.device.HostMemory() || o.fed)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		out[i] = h.dense()
	}
	return out, nil
}

// download returns a value in the process's memory, bfloat16 as float32. Without copying it is a view of the program's.
func (p *Program) download(o operand, r *run, copying bool) (host, error) {
	h := host{shape: o.shape, dtype: o.dtype, ptr: r.frame.address(o.at), bytes: o.bytes()}
	if copying {
		b := buffer(o.shape, o.dtype)
		if err := p.device.Download(b.raw(), h.ptr); err != nil {
			return h, err
		}
		h = b
	}
	if h.dtype == device.BFloat16 {
		h = h.as(device.Float32, host{})
	}
	return h, nil
}

// Close frees the program's memory. Results of Run must not be used afterwards. Closing twice is no error.
func (p *Program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	errs := []error{p.record.forget(), p.recordPast.forget()}
	for _, c := range p.calls {
		errs = append(errs, c.kernel.Close())
	}
	for _, pre := range p.preludes {
		errs = append(errs, pre.close(p.device))
	}
	for _, in := range p.inputs {
		if in.memory.Ptr != nil {
			errs = append(errs, p.device.Free(in.memory))
		}
	}
	if p.arena.Ptr != nil {
		errs = append(errs, p.device.Free(p.arena))
	}
	for _, b := range p.params {
		errs = append(errs, p.uncopy(b))
	}
	return errors.Join(errs...)
}

// Inputs returns the leaves that each run must be fed with.
func (p *Program) Inputs() gorgonia.Nodes {
	var in gorgonia.Nodes
	for _, i := range p.inputs {
		in = append(in, i.node)
	}
	return in
}
