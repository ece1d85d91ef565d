//go:build gpu

package cudnn

/*
#cgo LDFLAGS: -lcuda
#include "dnn.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nvlib"
)

// Alignment is the alignment of all tensors, in bytes: ALIGNMENT of descriptors.h.
const Alignment = 16

// Library is cuDNN on a GPU.
type Library struct {
	stream *driver.Stream
	order  sync.Locker // held while the stream or cuDNN's handle is used, which threads may not use at once

	mu      sync.Mutex     // guards the rest; taken before order
	file    *nvlib.Library // nil: there is none
	missing error          // why
	handle  *C.hd_dnn      // nil until it is used: making it takes a second
	plans   map[any]*Plan
}

// Open opens cuDNN for a driver that knows CUDA version version. Where there is none, File says why.
func Open(stream *driver.Stream, order sync.Locker, version int) *Library {
	l := &Library{stream: stream, order: order, plans: map[any]*Plan{}}
	if l.file, l.missing = nvlib.CuDNN.Open(version); l.missing != nil {
		return l
	}
	// It ends the process where it doesn't find cuBLASLt of the CUDA that it was made for. Once that is open, it finds it.
	blas := nvlib.CUBLASLtOf(l.file.Number("cudnnGetCudartVersion") / 1000)
	if _, err := blas.Open(version); err != nil {
		l.file, l.missing = nil, fmt.Errorf("%v wants %w", l.file, err)
	}
	return l
}

// File is the library, or why it can't be used.
func (l *Library) File() (*nvlib.Library, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file, l.missing
}

// use makes the handle, once.
func (l *Library) use() error {
	if l.handle != nil || l.file == nil {
		return l.missing
	}
	var text message
	err := l.stream.Within(func() error {
		l.handle = C.hd_dnn_open(l.file.Handle, l.context(), C.CUstream(l.stream.Handle()), &text[0], C.size_t(len(text)))
		return nil
	})
	if l.handle == nil && err == nil {
		err = fmt.Errorf("%v: %w: %s", l.file, nvlib.ErrNoLibrary, text.String())
	}
	if err != nil {
		l.file, l.missing = nil, err
	}
	return err
}

func (l *Library) context() C.CUcontext { return C.CUcontext(l.stream.Context()) }

func (l *Library) Close() error {
	if l.handle == nil {
		return nil
	}
	wrong := C.hd_dnn_close(l.handle, l.context())
	l.handle = nil
	if wrong != nil {
		return fmt.Errorf("cudnnDestroy: %s", C.GoString(wrong))
	}
	return nil
}

// Plan is how cuDNN computes a request. All kernels of equal requests share it.
type Plan struct {
	request request
	made    C.hd_dnn_plan
	users   int
}

func (p *Plan) Workspace() int64 { return int64(p.made.workspace) }

// Engine is the number of cuDNN's engine.
func (p *Plan) Engine() int { return int(p.made.engine) }

// Scale and One are the addresses of those tensors of an attention's plan, in the host's memory.
func (p *Plan) Scale() unsafe.Pointer { return unsafe.Pointer(p.made.numbers) }

// One is the number 1.
func (p *Plan) One() unsafe.Pointer { return unsafe.Add(unsafe.Pointer(p.made.numbers), 16) }

// request is a Convolution or an Attention.
type request interface {
	// plan makes a plan, or returns false and says why there is none.
	plan(l *Library, to *C.hd_dnn_plan, text *message) bool
}

// Plan finds a way to compute a convolution or an attention, or says why there is none. It must be released.
func (l *Library) Plan(r request) (*Plan, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.use(); err != nil {
		return nil, err
	}
	if p := l.plans[r]; p != nil {
		p.users++
		return p, nil
	}
	l.order.Lock()
	defer l.order.Unlock()
	var made C.hd_dnn_plan // not within Plan: cgo wants no Go pointers next to what it passes
	var text message
	found := false
	if err := l.stream.Within(func() error {
		found = r.plan(l, &made, &text)
		return nil
	}); err != nil {
		return nil, err
	}
	if !found {
		return nil, errors.New(text.String())
	}
	p := &Plan{request: r, made: made, users: 1}
	l.plans[r] = p
	return p, nil
}

// Release frees a plan that nobody else uses.
func (l *Library) Release(p *Plan) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.users--; p.users > 0 {
		return nil
	}
	delete(l.plans, p.request)
	l.order.Lock()
	defer l.order.Unlock()
	return l.stream.Within(func() error {
		err := l.stream.Synchronize() // its code goes with it
		C.hd_dnn_forget(l.handle, &p.made)
		return err
	})
}

// Call is a plan with the addresses of its last run.
type Call struct {
	Plan *Plan

	library *Library
	pack    C.hd_dnn_pack
}

// Call returns a call of a plan, which is released when the call is closed.
func (l *Library) Call(p *Plan) *Call { return &Call{Plan: p, library: l} }

// Run queues the plan's work on tensors, nil for those that it doesn't have.
func (c *Call) Run(tensors *[Tensors]unsafe.Pointer, workspace unsafe.Pointer) error {
	var text message
	if C.hd_dnn_run(c.library.handle, c.library.context(), c.Plan.made.plan, &c.pack, &tensors[0], workspace, &text[0],
		C.size_t(len(text))) == 0 {
		return fmt.Errorf("cuDNN, engine %d: %s", c.Plan.Engine(), text.String())
	}
	return nil
}

func (c *Call) Close() error {
	C.hd_dnn_destroy(c.library.handle, c.pack.descriptor)
	c.pack.descriptor = nil
	return driver.IgnoreIfLost(c.library.Release(c.Plan))
}

// message is an error's text, written by C.
type message [1024]C.char

func (m *message) String() string { return C.GoString(&m[0]) }
