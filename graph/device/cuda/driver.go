//go:build gpu

package cuda

/*
#cgo LDFLAGS: -lcuda
#include <stdlib.h>
#include "driver.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/histdist/histdist/graph/device"
)

// library is NVIDIA's driver, as its packages install it.
const library = "libcuda.so.1"

// minVersion is the CUDA version of the drivers that understand gen_*.ptx, as cuDriverGetVersion counts: 12.1, driver 530.
const minVersion = 12010

// ErrNoDriver is the error where NVIDIA's driver is missing, too old or finds no GPU.
var ErrNoDriver = errors.New("no usable NVIDIA driver")

// openDriver opens the driver's library and checks its version. The first one that opens is the process's.
func openDriver(path string) (version int, err error) {
	if path == "" {
		path = library
	}
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	if message := C.hd_driver_open(p); message != nil {
		return 0, fmt.Errorf("cuda: %w: %s: install NVIDIA's driver 530 or newer, or use the device cpu", ErrNoDriver, C.GoString(message))
	}
	if err := result(C.cuInit(0)); err != nil {
		return 0, fmt.Errorf("cuda: %w: %w: is there a GPU, and may this process use it (nvidia-smi)?", ErrNoDriver, err)
	}
	if version = cu.Version(); version < minVersion {
		return version, fmt.Errorf("cuda: %w: it has CUDA %s, want %s or newer: install NVIDIA's driver 530 or newer", ErrNoDriver, versionText(version), versionText(minVersion))
	}
	return version, nil
}

// versionText is "12.4" for 12040.
func versionText(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// Error is a result of the driver.
type Error struct {
	Code int    // CUresult
	Name string // such as CUDA_ERROR_OUT_OF_MEMORY
	Text string
}

// Error says what went wrong, and for what ends a device, that it did.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s (%d): %s", e.Name, e.Code, e.Text)
	switch {
	case e.ends():
		return s + ": the GPU is lost to this process; start it again"
	case e.Code == C.CUDA_ERROR_OUT_OF_MEMORY:
		return s + ": nvidia-smi shows which processes hold the GPU's memory"
	}
	return s
}

// ends tells whether nothing can be done with the device any more.
func (e *Error) ends() bool {
	switch e.Code {
	case C.CUDA_ERROR_ILLEGAL_ADDRESS, C.CUDA_ERROR_LAUNCH_FAILED, C.CUDA_ERROR_ECC_UNCORRECTABLE, C.CUDA_ERROR_HARDWARE_STACK_ERROR,
		C.CUDA_ERROR_LAUNCH_TIMEOUT, C.CUDA_ERROR_ILLEGAL_INSTRUCTION, C.CUDA_ERROR_MISALIGNED_ADDRESS, C.CUDA_ERROR_INVALID_ADDRESS_SPACE,
		C.CUDA_ERROR_INVALID_PC, C.CUDA_ERROR_NVLINK_UNCORRECTABLE, C.CUDA_ERROR_CONTEXT_IS_DESTROYED, C.CUDA_ERROR_UNKNOWN:
		return true
	}
	return false
}

// unlessLost is nil for what giving back says of a device that is lost: all of it is gone, and what happened was said where it happened.
func unlessLost(err error) error {
	var e *Error
	if errors.As(err, &e) && e.ends() {
		return nil
	}
	return err
}

// result is nil for success.
func result(r C.CUresult) error {
	if r == C.CUDA_SUCCESS {
		return nil
	}
	return &Error{int(r), C.GoString(C.hd_error_name(r)), C.GoString(C.hd_error_text(r))}
}

// explain gives an error of package cu the driver's own words.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Int {
		return result(C.CUresult(v.Int()))
	}
	return err
}

// full tells whether an error is that there is not enough memory.
func full(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == C.CUDA_ERROR_OUT_OF_MEMORY
}

// within calls f on a thread that has the device's context.
func (d *Device) within(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		return explain(err)
	}
	return explain(f())
}

// Package cu keeps the driver's handles in structs of one pointer.
func contextOf(c cu.CUContext) C.CUcontext  { return *(*C.CUcontext)(unsafe.Pointer(&c)) }
func functionOf(f cu.Function) C.CUfunction { return *(*C.CUfunction)(unsafe.Pointer(&f)) }
func streamOf(s cu.Stream) C.CUstream       { return *(*C.CUstream)(unsafe.Pointer(&s)) }

// Pinned memory of the host, through which all copies go, so that they need not wait for each other: one half is filled while the other
// one is copied.
const (
	stageBytes = 8 << 20
	stages     = 2
)

type stage struct {
	memory unsafe.Pointer
	copied cu.Event // recorded behind the last copy from it
}

func pinned(bytes int) (p unsafe.Pointer, err error) {
	err = result(C.cuMemHostAlloc(&p, C.size_t(bytes), C.CU_MEMHOSTALLOC_PORTABLE))
	return p, err
}

// Upload returns when src has been read; the copy takes its turn behind the kernels before it.
func (d *Device) Upload(dst device.Pointer, src []byte) error {
	d.copying.Lock()
	defer d.copying.Unlock()
	d.order.Lock()
	defer d.order.Unlock()
	err := d.within(func() error {
		for len(src) > 0 {
			s := &d.stages[d.turn%stages]
			d.turn++
			if err := s.copied.Synchronize(); err != nil {
				return err
			}
			n := copy(device.Slice[byte](s.memory, stageBytes), src)
			if err := cu.MemcpyHtoDAsync(address(dst), s.memory, int64(n), d.stream); err != nil {
				return err
			}
			if err := s.copied.Record(d.stream); err != nil {
				return err
			}
			dst, src = unsafe.Add(dst, n), src[n:]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: upload: %w", d.Name(), err)
	}
	return nil
}

// Download waits for the kernels before it.
func (d *Device) Download(dst []byte, src device.Pointer) error {
	d.copying.Lock()
	defer d.copying.Unlock()
	d.order.Lock()
	defer d.order.Unlock()
	err := d.within(func() error {
		s := &d.stages[d.turn%stages]
		if err := s.copied.Synchronize(); err != nil {
			return err
		}
		for len(dst) > 0 {
			n := min(len(dst), stageBytes)
			if err := cu.MemcpyDtoHAsync(s.memory, address(src), int64(n), d.stream); err != nil {
				return err
			}
			if err := d.stream.Synchronize(); err != nil {
				return err
			}
			copy(dst, device.Slice[byte](s.memory, n))
			dst, src = dst[n:], unsafe.Add(src, n)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: download: %w", d.Name(), err)
	}
	return nil
}

// fault is what a kernel reports, in memory of the host that the device reaches: struct Fault of kernels/arrange.cuh.
type fault struct{ set, id, at, limit int32 }

// Synchronize waits until all kernels have finished, and returns what they could not do.
func (d *Device) Synchronize() error {
	d.order.Lock()
	err := d.within(func() error {
		if err := d.stream.Synchronize(); err != nil {
			return err
		}
		return d.busy.add()
	})
	d.order.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name(), err)
	}
	if f := *d.fault; f.set != 0 {
		*d.fault = fault{}
		return fmt.Errorf("%s: id %d at %d: want one in [0,%d)", d.Name(), f.id, f.at, f.limit)
	}
	return nil
}

func address(p device.Pointer) cu.DevicePtr { return cu.DevicePtr(uintptr(p)) }
