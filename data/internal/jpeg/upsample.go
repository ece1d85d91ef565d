package jpeg

// upsampler returns rows of a component at the image's resolution, with libjpeg's "fancy upsampling" (jdsample.c): ×2
// weighs the nearer sample 3 and the farther 1; other factors, and ×2 in x on rows of at most two samples, repeat
// samples.
type upsampler struct {
	*component
	stepX, stepY int // how many pixels a sample covers
	out          []uint8
	sums         []int32 // of a pair of rows, for ×2 in both
}

func (f *frame) upsamplers() []upsampler {
	up := make([]upsampler, len(f.components))
	for i := range up {
		c := &f.components[i]
		u := upsampler{component: c, stepX: f.hMax / c.h, stepY: f.vMax / c.v}
		u.out, u.sums = make([]uint8, c.width*u.stepX), make([]int32, c.width)
		up[i] = u
	}
	return up
}

func (u *upsampler) fancyBoth() bool { return u.stepX == 2 && u.stepY == 2 && u.width > 2 }

// row returns row y of the image, which is valid until the next call.
func (u *upsampler) row(y int) []uint8 {
	in := u.samples(y / u.stepY)
	switch {
	case u.stepX == 1 && u.stepY == 1:
		return in
	case u.fancyBoth():
		u.both(in, u.neighbour(y))
	case u.stepX == 2 && u.stepY == 1 && u.width > 2:
		horizontal(u.out, in)
	case u.stepX == 1 && u.stepY == 2:
		bias := 1 + int32(y&1)
		for x, far := range u.neighbour(y) {
			u.out[x] = uint8((3*int32(in[x]) + int32(far) + bias) >> 2)
		}
	default:
		for x := range u.out {
			u.out[x] = in[x/u.stepX]
		}
	}
	return u.out
}

// neighbour is the second nearest row of samples: above for even rows of the image, below for odd ones. Rows beyond the
// first and the last are these again.
func (u *upsampler) neighbour(y int) []uint8 {
	if y&1 == 0 {
		return u.samples(max(y/2-1, 0))
	}
	return u.samples(min(y/2+1, u.height-1))
}

func (u *upsampler) samples(y int) []uint8 { return u.plane[(y-u.base)*u.stride:][:u.width] }

// both doubles in x and y: near is the nearer row of samples.
func (u *upsampler) both(near, far []uint8) {
	sums := u.sums
	for x := range sums {
		sums[x] = 3*int32(near[x]) + int32(far[x])
	}
	out := u.out[:2*len(sums)]
	last := len(sums) - 1
	out[0] = uint8((4*sums[0] + 8) >> 4)
	left, this := sums[0], sums[0]
	for x, right := range sums[1:] {
		if x > 0 {
			out[2*x] = uint8((3*this + left + 8) >> 4)
		}
		out[2*x+1] = uint8((3*this + right + 7) >> 4)
		left, this = this, right
	}
	out[2*last] = uint8((3*this + left + 8) >> 4)
	out[2*last+1] = uint8((4*this + 7) >> 4)
}

func horizontal(out, in []uint8) {
	last := len(in) - 1
	out[0] = in[0]
	for x := range last {
		this, right := int32(in[x]), int32(in[x+1])
		out[2*x+1] = uint8((3*this + right + 2) >> 2)
		out[2*x+2] = uint8((this + 3*right + 1) >> 2)
	}
	out[2*last+1] = in[last]
}
