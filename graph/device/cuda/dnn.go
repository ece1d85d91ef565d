//go:build gpu

package cuda

// #include "internal/cudnn/dnn.h"
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/cuda/internal/nvlib"
)

// dnnWorkspace is the most that cuDNN may take for one convolution, in bytes.
const dnnWorkspace = 256 << 20

// dnnAlignment is what cuDNN counts on, in bytes: ALIGNMENT of dnn.c.
const dnnAlignment = 16

// dnn is cuDNN on a device.
type dnn struct {
	library *nvlib.Library // nil: there is none
	missing error    // why

	mu    sync.Mutex // guards the rest
	dnn   *C.hd_dnn  // nil until it is used: making it takes a second
	plans map[any]*plan
}

// plan is how cuDNN computes something; all kernels that compute the same share it.
type plan struct {
	what  any // a C.hd_dnn_convolution or C.hd_dnn_attention
	made  C.hd_dnn_plan
	users int
}

// begin opens cuDNN. Where there is none, convolutions take our own kernels: Device.Libraries and the kernels' Algorithm tell.
func (n *dnn) begin(driver int) {
	if n.library, n.missing = nvlib.CuDNN.Open(driver); n.missing != nil {
		return
	}
	// It ends the process where it doesn't find cuBLASLt of the CUDA that it was made for. Once that is open, it finds it.
	blas := nvlib.CUBLASLtOf(n.library.Number("cudnnGetCudartVersion") / 1000)
	if _, err := blas.Open(driver); err != nil {
		n.library, n.missing = nil, fmt.Errorf("%v wants %w", n.library, err)
	}
}

// use makes what cuDNN needs on the GPU, once.
func (n *dnn) use(d *Device) error {
	if n.dnn != nil || n.library == nil {
		return n.missing
	}
	text := make([]byte, 1024)
	err := d.within(func() error {
		n.dnn = C.hd_dnn_open(n.library.Handle, contextOf(d.context), streamOf(d.stream), (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)))
		return nil
	})
	if n.dnn == nil && err == nil {
		err = fmt.Errorf("%v: %w: %s", n.library, nvlib.ErrNoLibrary, textOf(text))
	}
	if err != nil {
		n.library, n.missing = nil, err
	}
	return err
}

// close gives cuDNN's handle back.
func (n *dnn) close(d *Device) error {
	if n.dnn == nil {
		return nil
	}
	wrong := C.hd_dnn_close(n.dnn, contextOf(d.context))
	n.dnn = nil
	if wrong != nil {
		return fmt.Errorf("cudnnDestroy: %s", C.GoString(wrong))
	}
	return nil
}

// plan finds a way to compute a convolution or an attention, or an error that says why there is none.
func (n *dnn) plan(d *Device, what any) (*plan, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.use(d); err != nil {
		return nil, err
	}
	if p := n.plans[what]; p != nil {
		p.users++
		return p, nil
	}
	// Threads may not use cuDNN's handle at once.
	d.order.Lock()
	defer d.order.Unlock()
	p := &plan{what: what, users: 1}
	text := make([]byte, 1024)
	var made C.int
	err := d.within(func() error {
		says, most := (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text))
		switch c := what.(type) {
		case C.hd_dnn_convolution:
			made = C.hd_dnn_make(n.dnn, contextOf(d.context), &c, dnnWorkspace, &p.made, says, most)
		case C.hd_dnn_attention:
			made = C.hd_dnn_attend(n.dnn, contextOf(d.context), &c, sdpaWorkspace, &p.made, says, most)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if made == 0 {
		return nil, errors.New(textOf(text))
	}
	if n.plans == nil {
		n.plans = map[any]*plan{}
	}
	n.plans[what] = p
	return p, nil
}

// release gives a plan back.
func (n *dnn) release(d *Device, p *plan) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.users--; p.users > 0 {
		return nil
	}
	delete(n.plans, p.what)
	d.order.Lock()
	defer d.order.Unlock()
	return d.within(func() error {
		err := d.stream.Synchronize() // its code goes with it
		C.hd_dnn_forget(n.dnn, &p.made)
		return err
	})
}

// dnnCall is a plan with the places of its tensors.
type dnnCall struct {
	plan    *plan
	pack    C.hd_dnn_pack
	tensors [C.HD_DNN_TENSORS]pointer
}

// aligned tells whether all tensors of a run lie as the plan counts on.
func (c *dnnCall) aligned(at func(pointer) unsafe.Pointer) bool {
	for _, p := range c.tensors {
		if p.from != nowhere && uintptr(at(p))%dnnAlignment != 0 {
			return false
		}
	}
	return true
}

// enqueue queues the plan's work.
func (c *dnnCall) enqueue(d *Device, at func(pointer) unsafe.Pointer, workspace unsafe.Pointer) error {
	var tensors [C.HD_DNN_TENSORS]unsafe.Pointer
	for i, p := range c.tensors {
		tensors[i] = at(p)
	}
	text := make([]byte, 1024)
	if C.hd_dnn_run(d.dnn.dnn, contextOf(d.context), c.plan.made.plan, &c.pack, &tensors[0], workspace, (*C.char)(unsafe.Pointer(&text[0])),
		C.size_t(len(text))) == 0 {
		return fmt.Errorf("cuDNN, engine %d: %s", c.plan.made.engine, textOf(text))
	}
	return nil
}

// close gives back what the call holds.
func (c *dnnCall) close(d *Device) error {
	C.hd_dnn_destroy(d.dnn.dnn, c.pack.descriptor)
	c.pack.descriptor = nil
	return unlessLost(d.dnn.release(d, c.plan))
}

// textOf is what C wrote.
func textOf(b []byte) string { return C.GoString((*C.char)(unsafe.Pointer(&b[0]))) }

// dataType is cuDNN's number of an element type.
func dataType(t device.DType) C.int32_t {
	if t == device.BFloat16 {
		return C.DNN_DATA_BFLOAT16
	}
	return C.DNN_DATA_FLOAT
}
