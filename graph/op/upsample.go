package op

import "gorgonia.org/tensor"

// Upsample resizes by nearest neighbour: x [N,h,w,C] → [N,H,W,C]. Pixel (y,x) comes from (⌊y·h/H⌋, ⌊x·w/W⌋), computed
// in float32 as torch.nn.functional.interpolate(mode="nearest") does. The gradient of a convolution's weight reads its
// resized input; forward, Conv2D resizes by itself.
type Upsample struct{ H, W int }

func (u Upsample) Infer(in []tensor.Shape) (tensor.Shape, error) { return resized(in, u.H, u.W) }

func resized(in []tensor.Shape, h, w int) (tensor.Shape, error) {
	if len(in[0]) != 4 || h < 1 || w < 1 {
		return nil, errorf("input %v to %d×%d: want [N,H,W,C] and sizes of at least 1", in[0], h, w)
	}
	return tensor.Shape{in[0][0], h, w, in[0][3]}, nil
}

func (u Upsample) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// UpsampleGrad is the gradient of Upsample: dy [N,H',W',C] → [N,H,W,C], the sum over the copies of each pixel. H×W is
// the source's size.
type UpsampleGrad struct{ H, W int }

func (u UpsampleGrad) Infer(in []tensor.Shape) (tensor.Shape, error) { return resized(in, u.H, u.W) }
func (u UpsampleGrad) Kinds(n int) ([]Kind, Kind)                    { return exacts(n) }
