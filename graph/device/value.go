package device

import (
	"fmt"
	"unsafe"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
)

// Value is a value in a device's memory, for nodes to hold (gorgonia.Let): programs of that device read and update it
// in place. A trainer's parameters, gradients and moments are such values, whatever the device. Its numbers are
// float32, or bfloat16 to save memory where programs only read them: to the graph they are float32.
type Value struct {
	device Device
	dtype  DType
	shape  tensor.Shape
	memory Memory
}

var _ gorgonia.Value = (*Value)(nil)

// NewValue allocates a float32 value of zeros. It must be closed when no program has it any more.
func NewValue(d Device, shape ...int) (*Value, error) { return NewValueOf(d, Float32, shape...) }

// NewValueOf is NewValue for an element type, Float32 or BFloat16.
func NewValueOf(d Device, t DType, shape ...int) (*Value, error) {
	v := &Value{device: d, dtype: t, shape: tensor.Shape(shape).Clone()}
	var err error
	if v.memory, err = d.Alloc(int64(v.Size()) * t.Size()); err != nil {
		return nil, err
	}
	return v, nil
}

// Close frees the memory. Closing twice is no error.
func (v *Value) Close() error {
	if v.memory.Ptr == nil {
		return nil
	}
	m := v.memory
	v.memory = Memory{}
	return v.device.Free(m)
}

// Device is the device whose memory has the value.
func (v *Value) Device() Device { return v.device }

// Ptr is the address in the device's memory.
func (v *Value) Ptr() Pointer { return v.memory.Ptr }

// Stored is the element type in the device's memory.
func (v *Value) Stored() DType { return v.dtype }

// Values views the numbers, row by row, where they are float32 and the device computes in the process's memory; nil
// elsewhere.
func (v *Value) Values() []float32 {
	if v.dtype != Float32 || !v.device.HostMemory() {
		return nil
	}
	return Slice[float32](v.memory.Ptr, v.Size())
}

// Write copies numbers to the device, as many as the value has, rounded to its element type.
func (v *Value) Write(src []float32) error {
	if len(src) != v.Size() {
		return fmt.Errorf("%d numbers for a value of shape %v", len(src), []int(v.shape))
	}
	if v.dtype == BFloat16 {
		halves := make([]uint16, len(src))
		for i, x := range src {
			halves[i] = ToBFloat16(x)
		}
		return v.device.Upload(v.memory.Ptr, Slice[byte](Pointer(unsafe.SliceData(halves)), 2*len(halves)))
	}
	return v.device.Upload(v.memory.Ptr, Bytes(src))
}

// Read copies the numbers from the device, when all kernels have finished.
func (v *Value) Read(dst []float32) error {
	if len(dst) != v.Size() {
		return fmt.Errorf("room for %d numbers of a value of shape %v", len(dst), []int(v.shape))
	}
	if err := v.device.Synchronize(); err != nil {
		return err
	}
	if v.dtype == BFloat16 {
		halves := make([]uint16, len(dst))
		err := v.device.Download(Slice[byte](Pointer(unsafe.SliceData(halves)), 2*len(halves)), v.memory.Ptr)
		for i, h := range halves {
			dst[i] = FromBFloat16(h)
		}
		return err
	}
	return v.device.Download(Bytes(dst), v.memory.Ptr)
}

func (v *Value) Shape() tensor.Shape { return v.shape }
func (v *Value) Size() int           { return op.Size(v.shape) }

// Data is Values, or nil where the process doesn't reach them.
func (v *Value) Data() any {
	if x := v.Values(); x != nil {
		return x
	}
	return nil
}

func (v *Value) Dtype() tensor.Dtype { return tensor.Float32 }

func (v *Value) Type() hm.Type {
	if len(v.shape) == 0 {
		return tensor.Float32
	}
	return gorgonia.TensorType{Dims: len(v.shape), Of: tensor.Float32}
}

func (v *Value) Uintptr() uintptr { return uintptr(v.memory.Ptr) }
func (v *Value) MemSize() uintptr { return uintptr(v.memory.Bytes) }

func (v *Value) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "%v %v on %s", v.dtype, []int(v.shape), v.device.Name())
}
