package golden

import "fmt"

// NHWC brings images or feature maps from PyTorch's layout into this program's: [N,C,H,W] → [N,H,W,C].
func NHWC[T any](x Tensor[T]) Tensor[T] { return permute(x, 0, 2, 3, 1) }

// HWIO brings a convolution's kernel from PyTorch's layout into this program's: [O,I,H,W] → [H,W,I,O].
func HWIO[T any](w Tensor[T]) Tensor[T] { return permute(w, 2, 3, 1, 0) }

// permute returns x with its axes in another order: axis i of the result is axis axes[i] of x. It panics where x has
// another number of axes, which in a test is a wrong name.
func permute[T any](x Tensor[T], axes ...int) Tensor[T] {
	if len(x.Shape) != len(axes) {
		panic(fmt.Sprintf("golden: shape %v where %d dimensions are needed", x.Shape, len(axes)))
	}
	strides := make([]int, len(axes))
	for i, stride := len(axes)-1, 1; i >= 0; i-- {
		strides[i] = stride
		stride *= x.Shape[i]
	}
	y := Tensor[T]{Shape: make([]int, len(axes)), Data: make([]T, len(x.Data))}
	for i, axis := range axes {
		y.Shape[i] = x.Shape[axis]
	}
	index := make([]int, len(axes)) // of y.Data[i]
	for i := range y.Data {
		from := 0
		for j, axis := range axes {
			from += index[j] * strides[axis]
		}
		y.Data[i] = x.Data[from]
		for j := len(index) - 1; j >= 0; j-- {
			if index[j]++; index[j] < y.Shape[j] {
				break
			}
			index[j] = 0
		}
	}
	return y
}
