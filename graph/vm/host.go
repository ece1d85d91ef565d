package vm

import (
	"fmt"
	"unsafe"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

// host is a value in the process's memory, or in that of the device on.
type host struct {
	shape tensor.Shape
	dtype device.DType
	ptr   device.Pointer
	bytes int64
	on    device.Device // nil for the process's memory
}

// denseOf reads a Gorgonia value: a tensor or a scalar of float32, float64 or int32, or a device's value.
func denseOf(v gorgonia.Value) (host, error) {
	scalar := func(t device.DType, p unsafe.Pointer) host {
		return host{shape: tensor.ScalarShape(), dtype: t, ptr: p, bytes: t.Size()}
	}
	switch t := v.(type) {
	case *gorgonia.F32:
		return scalar(device.Float32, unsafe.Pointer(t)), nil
	case *gorgonia.F64:
		return scalar(device.Float64, unsafe.Pointer(t)), nil
	case *device.Value:
		h := host{shape: t.Shape(), dtype: t.Stored(), ptr: t.Ptr(), bytes: int64(t.MemSize())}
		if h.ptr == nil {
			return h, fmt.Errorf("value of shape %v was closed", []int(h.shape))
		}
		if !t.Device().HostMemory() {
			h.on = t.Device()
		}
		return h, nil
	case *tensor.Dense:
		h := host{shape: t.Shape()}
		switch t.Dtype() {
		case tensor.Float32:
			h.dtype = device.Float32
		case tensor.Float64:
			h.dtype = device.Float64
		case tensor.Int32:
			h.dtype = device.Int32
		default:
			return h, fmt.Errorf("value of %v: want float32, float64 or int32", t.Dtype())
		}
		h.bytes = int64(op.Size(h.shape)) * h.dtype.Size()
		if int64(len(t.Raw)) < h.bytes || !t.DataOrder().IsContiguous() || t.RequiresIterator() {
			return h, fmt.Errorf("value of shape %v is a view: want contiguous rows; clone it first", []int(h.shape))
		}
		h.ptr = unsafe.Pointer(unsafe.SliceData(t.Raw))
		return h, nil
	case interface{ Data() any }:
		switch x := t.Data().(type) {
		case float32:
			return scalar(device.Float32, unsafe.Pointer(&x)), nil
		case float64:
			return scalar(device.Float64, unsafe.Pointer(&x)), nil
		}
	}
	return host{}, fmt.Errorf("value of type %T: want a *tensor.Dense", v)
}

// local is the value in the process's memory: itself, or a copy of a device's.
func (h host) local() (host, error) {
	if h.on == nil {
		return h, nil
	}
	c := buffer(h.shape, h.dtype)
	return c, h.on.Download(c.raw(), h.ptr)
}

// raw views the bytes.
func (h host) raw() []byte { return unsafe.Slice((*byte)(h.ptr), h.bytes) }

// offset moves a pointer by bytes.
func offset(p device.Pointer, bytes int64) device.Pointer { return unsafe.Add(p, bytes) }

// at reads element i as a float64, which holds all our types exactly.
func (h host) at(i int) float64 {
	switch h.dtype {
	case device.Float32:
		return float64(device.Slice[float32](h.ptr, i+1)[i])
	case device.BFloat16:
		return float64(device.FromBFloat16(device.Slice[uint16](h.ptr, i+1)[i]))
	case device.Float64:
		return device.Slice[float64](h.ptr, i+1)[i]
	default:
		return float64(device.Slice[int32](h.ptr, i+1)[i])
	}
}

// set writes element i, rounded to the type.
func (h host) set(i int, x float64) {
	switch h.dtype {
	case device.Float32:
		device.Slice[float32](h.ptr, i+1)[i] = float32(x)
	case device.BFloat16:
		device.Slice[uint16](h.ptr, i+1)[i] = device.ToBFloat16(float32(x))
	case device.Float64:
		device.Slice[float64](h.ptr, i+1)[i] = x
	default:
		device.Slice[int32](h.ptr, i+1)[i] = int32(x)
	}
}

// as is the value in another element type: in b, a buffer of an earlier call, or in a new one where b is zero.
func (h host) as(t device.DType, b host) host {
	if b.ptr == nil {
		b = buffer(h.shape, t)
	}
	convert(b, h)
	return b
}

// convert copies src to dst of another type. float32 and bfloat16, the types of feeds and results, are converted in
// tight loops: a context of 16 images has 2.4 million elements, and element by element they took a tenth of a training
// step on a GPU.
func convert(dst, src host) {
	n := op.Size(src.shape)
	switch {
	case src.dtype == device.Float32 && dst.dtype == device.BFloat16:
		from, to := device.Slice[float32](src.ptr, n), device.Slice[uint16](dst.ptr, n)
		parallel.Ranges(n, stretch, func(i, j int) {
			for k, x := range from[i:j] {
				to[i+k] = device.ToBFloat16(x)
			}
		})
	case src.dtype == device.BFloat16 && dst.dtype == device.Float32:
		from, to := device.Slice[uint16](src.ptr, n), device.Slice[float32](dst.ptr, n)
		parallel.Ranges(n, stretch, func(i, j int) {
			for k, h := range from[i:j] {
				to[i+k] = device.FromBFloat16(h)
			}
		})
	default:
		for i := range n {
			dst.set(i, src.at(i))
		}
	}
}

// stretch is how many elements a goroutine converts at a time.
const stretch = 1 << 17

// buffer is new memory of the process.
func buffer(shape tensor.Shape, t device.DType) host {
	n := int64(op.Size(shape)) * t.Size()
	b := make([]uint64, (n+7)/8) // aligned for every type
	return host{shape: shape, dtype: t, ptr: unsafe.Pointer(unsafe.SliceData(b)), bytes: n}
}

// dense wraps memory as a tensor without copying; bfloat16 has none in package tensor.
func (h host) dense() *tensor.Dense {
	n := op.Size(h.shape)
	shape := h.shape
	if len(shape) == 0 {
		shape = tensor.Shape{1}
	}
	var backing any
	switch h.dtype {
	case device.Float32:
		backing = device.Slice[float32](h.ptr, n)
	case device.Float64:
		backing = device.Slice[float64](h.ptr, n)
	default:
		backing = device.Slice[int32](h.ptr, n)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(backing))
}
