package cpu

/*
#cgo CFLAGS: -O3 -std=gnu11 -Wall -Wno-psabi
#cgo !windows LDFLAGS: -lm -lpthread
#cgo windows LDFLAGS: -static -lpthread -lsynchronization
#include <stdlib.h>
#include "kernels.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/hostinfo"
	"github.com/histdist/histdist/internal/hostmem"
)

// Options choose threads and instruction set; the zero value takes the machine's best.
type Options struct {
	Threads int    // 0: hostinfo.DefaultThreads
	ISA     string // one of InstructionSets; "": the best
}

// Device computes with C kernels on the processor's vector units.
type Device struct {
	hostmem.Allocator
	ctx     *C.hd_ctx
	isa     string
	threads int
	packs   device.Shared[packKey]
	closed  atomic.Bool
}

// New starts the device's threads.
func New(o Options) (*Device, error) {
	if o.Threads < 0 {
		return nil, fmt.Errorf("cpu: %d threads: want at least 1, or 0 for all processors", o.Threads)
	}
	if o.Threads == 0 {
		o.Threads = hostinfo.DefaultThreads().Count
	}
	table, isa, err := kernels(o.ISA)
	if err != nil {
		return nil, err
	}
	pool := C.hd_pool_new(C.int(o.Threads))
	if pool == nil {
		return nil, fmt.Errorf("cpu: can't start %d threads", o.Threads)
	}
	ctx := (*C.hd_ctx)(C.calloc(1, C.sizeof_hd_ctx))
	ctx.pool, ctx.k = pool, table
	return &Device{ctx: ctx, isa: isa, threads: o.Threads}, nil
}

func (d *Device) Name() string { return "cpu" }

// Fingerprint is the instruction set in use, one of InstructionSets.
func (d *Device) Fingerprint() string { return d.isa }
func (d *Device) Threads() int        { return d.threads }

// Has is true for float32, bfloat16 and int32. Arithmetic on bfloat16 is in float32, except for products on processors
// that multiply pairs of bfloat16 (AVX512-BF16): there weights are rounded to bfloat16, sums stay in float32.
func (d *Device) Has(t device.DType) bool { return t != device.Float64 }

// Close ends the threads. Closing twice is no error.
func (d *Device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	C.hd_pool_free(d.ctx.pool)
	C.free(unsafe.Pointer(d.ctx))
	if n := d.Allocated(); n != 0 {
		return fmt.Errorf("cpu: closed with %d bytes allocated", n)
	}
	return nil
}

var errClosed = errors.New("cpu: the device is closed")

func (d *Device) Compile(r device.Request) (device.Kernel, error) {
	if d.closed.Load() {
		return nil, errClosed
	}
	for _, o := range append(append([]device.Operand(nil), r.In...), r.Out) {
		if !d.Has(o.DType) {
			return nil, device.Unsupported(d.Name(), r)
		}
	}
	if k, err := compileMatmul(d, r); k != nil || err != nil {
		return k, err
	}
	for _, compile := range []func(*Device, device.Request) *kernel{
		compileAttention, compileNorm, compileElementwise, compilePooling, compilePosterior, compileOptimizer,
	} {
		if k := compile(d, r); k != nil {
			return k, nil
		}
	}
	return nil, device.Unsupported(d.Name(), r)
}

// kernel is a compiled kernel.
type kernel struct {
	workspace int64
	algorithm string
	check     func(operands) error // refuses inputs that run can't handle; nil if there are none
	run       func(operands)

	device *Device
	packed *device.Held[packKey] // the weight, rearranged; nil where it is read as it is
}

// operands are the addresses of one run.
type operands struct {
	out       device.Pointer
	in        []device.Pointer
	workspace device.Pointer
}

func (o operands) float(i int) *C.float { return (*C.float)(o.in[i]) }
func (o operands) result() *C.float     { return (*C.float)(o.out) }

// last is the last input, which is optional: nil if it isn't there.
func (o operands) last(there bool) *C.float {
	if !there {
		return nil
	}
	return o.float(len(o.in) - 1)
}

// scratch is a kernel that needs a workspace.
func scratch(workspace C.size_t, run func(operands)) *kernel {
	return &kernel{workspace: int64(workspace), run: run}
}

func (k *kernel) Workspace() int64  { return k.workspace }
func (k *kernel) Algorithm() string { return k.algorithm }
func (k *kernel) Run(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	o := operands{out, in, workspace}
	if k.check != nil {
		if err := k.check(o); err != nil {
			return err
		}
	}
	k.run(o)
	return nil
}

// dtype translates an element type of features.
func dtype(t device.DType) C.hd_dtype {
	if t == device.BFloat16 {
		return C.HD_BF16
	}
	return C.HD_F32
}

// rows and channels split a shape before its last axis.
func rows(o device.Operand) C.hd_n     { return C.hd_n(op.Size(o.Shape) / o.Shape[len(o.Shape)-1]) }
func channels(o device.Operand) C.hd_n { return C.hd_n(o.Shape[len(o.Shape)-1]) }

// move is the address some bytes on.
func move(p device.Pointer, bytes int64) device.Pointer { return unsafe.Add(p, bytes) }
