package unet

import (
	"fmt"
)

// Widen gives conv_in's weight more input channels: [O,I,KH,KW] → [O,in,KH,KW] in the layout of the files. The first I
// channels are copied and the others are zero, so that at first the network does not see them (Brooks et al. 2023,
// "InstructPix2Pix", section 3.2). The bias stays as it is.
func Widen(weight []float32, shape []int, in int) ([]float32, []int, error) {
	if len(shape) != 4 || shape[0]*shape[1]*shape[2]*shape[3] != len(weight) {
		return nil, nil, fmt.Errorf("widen: weight of shape %v with %d elements: want [O,I,KH,KW]", shape, len(weight))
	}
	if in < shape[1] {
		return nil, nil, fmt.Errorf("widen: conv_in has %d input channels, more than %d", shape[1], in)
	}
	kernel := shape[2] * shape[3]
	wide := make([]float32, shape[0]*in*kernel)
	for o := range shape[0] {
		copy(wide[o*in*kernel:], weight[o*shape[1]*kernel:(o+1)*shape[1]*kernel])
	}
	return wide, []int{shape[0], in, shape[2], shape[3]}, nil
}
