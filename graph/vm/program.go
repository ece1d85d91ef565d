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
	"github.com/histdist/histdist/graph/op"
)

// Feeds are the values of the inputs for one run: a *tensor.Dense of the node's shape, float32 or float64 for features, int32 for
// ids, or a *device.Value. They are read during the run only.
type Feeds map[*gorgonia.Node]gorgonia.Value

// Program is a compiled graph with its memory. It may be run again and again, by one goroutine at a time.
type Program struct {
	device   device.Device
	options  Options
	graph    *graph
	steps    []*step
	preludes []*prelude
	arena    *device.Memory
	inputs   map[*value]device.Memory // what fed values are converted or copied to
	// converted are fed values in the process's memory, in the element type that they have on the device.
	converted map[*value]host
	record    recorder
	updated   map[*value]bool // parameters that the program writes
	memory    MemoryReport
	runs      int
	mu        sync.Mutex
	closed    bool
}

// ErrBusy and ErrClosed are errors of Run.
var (
	ErrBusy   = errors.New("the program is running")
	ErrClosed = errors.New("the program is closed")
)

// Run computes the outputs, in the order that Compile got them. On a device that computes in the process's memory the
// results are views of the program's memory, valid until the next Run or Close; scalars come as [1]. On another device they are copies,
// and nil for parameters that the program updates: they stay where they are. When ctx ends, Run returns its error after the kernel that is
// running; the program can be run again.
func (p *Program) Run(ctx context.Context, feeds Feeds) (results []*tensor.Dense, err error) {
	if !p.mu.TryLock() {
		return nil, ErrBusy
	}
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	defer runtime.KeepAlive(feeds)
	fits, err := p.check(feeds)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.abandon()) }()
	if err := p.prepare(fits); err != nil {
		return nil, err
	}
	if err := p.feed(fits); err != nil {
		return nil, err
	}
	if err := p.compute(ctx); err != nil {
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
	return p.results()
}

// compute runs the steps, all at once where they are recorded.
func (p *Program) compute(ctx context.Context) error {
	if done, err := p.replay(ctx); done || err != nil {
		return err
	}
	for _, s := range p.steps {
		if s.kernel == nil || s.prelude != nil && s.prelude.ready {
			continue
		}
		if err := ctx.Err(); err != nil {
			return errors.Join(fmt.Errorf("stopped before %s: %w", s.place, err), p.device.Synchronize())
		}
		if err := p.runStep(s); err != nil {
			return fmt.Errorf("%s: %w", s.place, err)
		}
	}
	return nil
}

// call is the step's kernel with its addresses.
func (s *step) call() device.Call {
	for i, v := range s.in {
		s.args[i] = v.address()
	}
	c := device.Call{Kernel: s.kernel, Out: s.out.address(), In: s.args}
	if s.workspace != nil {
		c.Workspace = s.workspace.ptr
	}
	return c
}

func (p *Program) runStep(s *step) error {
	c := s.call()
	begin := time.Now()
	if err := c.Kernel.Run(c.Out, c.In, c.Workspace); err != nil {
		return err
	}
	if p.options.Profile {
		if err := p.device.Synchronize(); err != nil {
			return err
		}
	}
	s.stats.time += time.Since(begin)
	if p.options.CheckFinite {
		return p.checkFinite(s)
	}
	return nil
}

// address is where the value lies now.
func (v *value) address() device.Pointer {
	if v.root.ptr == nil { // a parameter that no kernel reads
		return nil
	}
	return offset(v.root.ptr, v.offset)
}

// check tells whether the feeds are the program's inputs, and returns them by their leaves.
func (p *Program) check(feeds Feeds) (map[*value]host, error) {
	var missing []string
	fits := map[*value]host{}
	for _, v := range p.graph.leaves {
		if v.source != fed {
			continue
		}
		t := feeds[v.node]
		if t == nil || t == (*tensor.Dense)(nil) {
			missing = append(missing, fmt.Sprintf("%s %v", v.name, []int(v.shape)))
			continue
		}
		h, err := denseOf(t)
		switch {
		case err != nil:
			return nil, fmt.Errorf("feed %s: %w", v.name, err)
		case !v.takes(h):
			return nil, fmt.Errorf("feed %s: shape %v, want %v", v.name, []int(h.shape), []int(v.shape))
		case (h.dtype == device.Int32) != (v.dtype == device.Int32):
			return nil, fmt.Errorf("feed %s: %v, want %v", v.name, h.dtype, v.dtype)
		}
		fits[v] = h
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("missing feeds: %s", strings.Join(missing, ", "))
	}
	for n := range feeds {
		if v := p.graph.values[n]; v == nil || v.source != fed || v.prod != nil {
			return nil, fmt.Errorf("feed %s: not an input of this program, which takes %s", nodeName(n), p.inputNames())
		}
	}
	return fits, nil
}

// feed gives the fed leaves their values. What a run does not read, because it was kept from an earlier one, is not copied.
func (p *Program) feed(feeds map[*value]host) error {
	for _, v := range p.graph.leaves {
		if v.source != fed || p.needless(v) {
			continue
		}
		if err := p.feedOne(v, feeds[v]); err != nil {
			return fmt.Errorf("feed %s: %w", v.name, err)
		}
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

// takes tells whether h has the value's shape; for a scalar, any shape of one element is right.
func (v *value) takes(h host) bool {
	return slices.Equal(h.shape, v.shape) || len(v.shape) == 0 && op.Size(h.shape) == 1
}

func (p *Program) feedOne(v *value, h host) error {
	if p.inPlace(h, v) {
		v.ptr = h.ptr
		return nil
	}
	h, err := h.local()
	if err != nil {
		return err
	}
	m, ok := p.inputs[v]
	if !ok {
		if m, err = p.device.Alloc(v.bytes()); err != nil {
			return fmt.Errorf("%w: %w", ErrMemory, err)
		}
		p.inputs[v] = m
	}
	v.ptr = m.Ptr
	if h.dtype != v.dtype {
		h = h.as(v.dtype, p.converted[v])
		p.converted[v] = h
	}
	return p.upload(v, h)
}

// upload copies a value of the process to the device, converted to v's element type.
func (p *Program) upload(v *value, h host) error {
	if h.dtype != v.dtype {
		h = h.as(v.dtype, host{})
	}
	err := p.device.Upload(v.ptr, h.raw())
	runtime.KeepAlive(h)
	return err
}

func (p *Program) results() ([]*tensor.Dense, error) {
	out := make([]*tensor.Dense, len(p.graph.outputs))
	for i, v := range p.graph.outputs {
		if p.updated[v.root] && !p.device.HostMemory() {
			continue
		}
		h, err := p.download(v, !p.device.HostMemory() || v.root.source == fed)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		out[i] = h.dense()
	}
	return out, nil
}

// download returns a value in the process's memory, bfloat16 as float32. Without copying it is a view of the program's.
func (p *Program) download(v *value, copying bool) (host, error) {
	h := host{shape: v.shape, dtype: v.dtype, ptr: v.address(), bytes: v.bytes()}
	if copying {
		b := buffer(v.shape, v.dtype)
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

// Close gives back the program's memory. Results of Run must not be used afterwards. Closing twice is no error.
func (p *Program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	errs := []error{p.record.forget()}
	for _, s := range p.steps {
		if s.kernel != nil {
			errs = append(errs, s.kernel.Close())
		}
	}
	errs = append(errs, p.closePreludes())
	for _, m := range p.inputs {
		errs = append(errs, p.device.Free(m))
	}
	if p.arena != nil {
		errs = append(errs, p.device.Free(*p.arena))
	}
	for _, v := range p.graph.leaves {
		errs = append(errs, p.uncopy(v))
	}
	return errors.Join(errs...)
}

// Inputs returns the leaves that each run must be fed with.
func (p *Program) Inputs() gorgonia.Nodes {
	var in gorgonia.Nodes
	for _, v := range p.graph.leaves {
		if v.source == fed {
			in = append(in, v.node)
		}
	}
	return in
}
