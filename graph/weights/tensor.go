package weights

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
)

// DType is how numbers are saved.
type DType uint8

// The types that can be saved.
const (
	Float32 DType = iota
	Float16
	BFloat16
)

// String returns the name that ParseDType takes.
func (t DType) String() string { return [...]string{"float32", "float16", "bfloat16"}[t] }

func (t DType) size() int { return [...]int{4, 2, 2}[t] }

// ParseDType returns the type of a name.
func ParseDType(name string) (DType, error) {
	for t := Float32; t <= BFloat16; t++ {
		if t.String() == name {
			return t, nil
		}
	}
	return 0, fmt.Errorf("type %q: want float32, float16 or bfloat16", name)
}

// Tensor is a named tensor to be saved. It refers to its values and does not copy them.
type Tensor struct {
	name   string
	shape  []int // in the file
	values []float32
	read   func(dst []float32) error // gets the values when they are saved, where they are not in the process's memory
	kernel bool                      // values are [KH,KW,I,O]
}

func (t Tensor) size() int { return elements(t.shape) }

// NewTensor names values that are in the file's layout, row by row; len(values) is the product of shape.
func NewTensor(name string, shape []int, values []float32) Tensor {
	return Tensor{name: name, shape: append([]int{}, shape...), values: values}
}

// Name is the tensor's name in the file.
func (t Tensor) Name() string { return t.name }

// FromValue names a value in the graph's layout, such as a parameter's average or an optimiser's state: four dimensions
// are a convolution's [KH,KW,I,O], which files have as [O,I,KH,KW]. The numbers of a device.Value outside of the
// process's memory are read when they are saved, one tensor at a time.
func FromValue(name string, value gorgonia.Value) (Tensor, error) {
	if v, ok := value.(*device.Value); ok {
		t := Tensor{name: name, shape: fileShape(v.Shape()), values: v.Values(), kernel: v.Shape().Dims() == 4}
		if t.values == nil {
			t.read = v.Read
		}
		return t, nil
	}
	d, ok := value.(*tensor.Dense)
	if !ok {
		return Tensor{}, fmt.Errorf("tensor %q: value of %T, want *tensor.Dense or *device.Value", name, value)
	}
	values, ok := d.Data().([]float32)
	if !ok || !d.DataOrder().IsContiguous() || d.RequiresIterator() || len(values) != elements(d.Shape()) {
		return Tensor{}, fmt.Errorf("tensor %q: %v of shape %v: want contiguous float32", name, d.Dtype(), []int(d.Shape()))
	}
	return Tensor{name: name, shape: fileShape(d.Shape()), values: values, kernel: d.Dims() == 4}, nil
}

// FromParams names the values of a graph's parameters.
func FromParams(params gorgonia.Nodes) ([]Tensor, error) {
	list := make([]Tensor, len(params))
	for i, n := range params {
		t, err := FromValue(n.Name(), n.Value())
		if err != nil {
			return nil, err
		}
		list[i] = t
	}
	return list, nil
}
