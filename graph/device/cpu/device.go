package cpu

/*
#cgo CFLAGS: -O3 -std=gnu11 -Wall -Wno-psabi
#cgo LDFLAGS: -lm -lpthread
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
	"github.com/histdist/histdist/graph/device/hostinfo"
	"github.com/histdist/histdist/graph/device/hostmem"
	"github.com/histdist/histdist/graph/op"
)

// Options choose threads and instruction set; the zero value is the best of the machine.
type Options struct {
	Threads int // 0: as many as hostinfo.DefaultThreads
	// ISA is one of InstructionSets; "" takes the best.
	ISA string
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

// Name is "cpu".
func (d *Device) Name() string { return "cpu" }

// Fingerprint is the instruction set in use, one of InstructionSets.
func (d *Device) Fingerprint() string { return d.isa }

// Threads is the number of threads.
func (d *Device) Threads() int { return d.threads }

// Has is true for float32, bfloat16 and int32. Arithmetic on bfloat16 is in float32, but for the products of processors that
// multiply pairs of them (AVX512-BF16): there weights are rounded to bfloat16, sums stay in float32.
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

// Compile returns the kernel for a request.
func (d *Device) Compile(r device.Request) (device.Kernel, error) {
	if d.closed.Load() {
		return nil, errClosed
	}
	for _, o := range append(append([]device.Operand(nil), r.In...), r.Out) {
		if !d.Has(o.DType) {
			return nil, device.Unsupported(d.Name(), r)
		}
	}
	for _, compile := range []func(*Device, device.Request) (device.Kernel, error){
		compileMatmul, compileAttention, compileNorm, compileElementwise, compilePooling, compilePosterior, compileOptimizer,
	} {
		k, err := compile(d, r)
		if k != nil || err != nil {
			return k, err
		}
	}
	return nil, device.Unsupported(d.Name(), r)
}

// kernel is a compiled kernel that holds no memory of its own.
type kernel struct {
	workspace int64
	algorithm string
	run       func(out device.Pointer, in []device.Pointer, workspace device.Pointer) error
}

func (k *kernel) Workspace() int64  { return k.workspace }
func (k *kernel) Algorithm() string { return k.algorithm }
func (k *kernel) Close() error      { return nil }
func (k *kernel) Run(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	return k.run(out, in, workspace)
}

// dtype translates an element type of features.
func dtype(t device.DType) C.hd_dtype {
	if t == device.BFloat16 {
		return C.HD_BF16
	}
	return C.HD_F32
}

// rows and channels split a shape before its last axis.
func rows(o device.Operand) C.long     { return C.long(op.Size(o.Shape) / o.Shape[len(o.Shape)-1]) }
func channels(o device.Operand) C.long { return C.long(o.Shape[len(o.Shape)-1]) }

// move is the address some bytes on.
func move(p device.Pointer, bytes int64) device.Pointer { return unsafe.Add(p, bytes) }
