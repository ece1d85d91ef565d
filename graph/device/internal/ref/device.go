package ref

import (
	"fmt"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/internal/hostmem"
)

// Device computes in plain Go. Kernels have finished when they return.
type Device struct{ hostmem.Allocator }

var _ device.Device = (*Device)(nil)

// New returns a device with no memory allocated.
func New() *Device { return new(Device) }

func (d *Device) Name() string            { return "ref" }
func (d *Device) Has(t device.DType) bool { return t != device.BFloat16 }

// Compile returns the kernel for a request. All operands but ids must have one element type.
func (d *Device) Compile(r device.Request) (device.Kernel, error) {
	var k device.Kernel
	switch r.Out.DType {
	case device.Float32:
		k = compile[float32](r)
	case device.Float64:
		k = compile[float64](r)
	}
	if k == nil {
		return nil, device.Unsupported(d.Name(), r)
	}
	return k, nil
}

// Close reports memory that was not freed.
func (d *Device) Close() error {
	if n := d.Allocated(); n != 0 {
		return fmt.Errorf("ref: closed with %d bytes allocated", n)
	}
	return nil
}
