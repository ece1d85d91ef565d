package ref

import (
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// A convolution is a product of matrices: the patches of the image below the kernel, one row for each output pixel with
// the KH·KW·I values that it sees, times the weight as a matrix [KH·KW·I,O] (im2col; Chellapilla et al. 2006).

// walk is how a kernel goes over images.
type walk struct {
	op.Geometry
	images, height, width int   // as the kernel sees it
	channels              int   // of a pixel
	outH, outW            int   // of the result
	sourceY, sourceX      []int // the row and column in memory of those that the kernel sees
	memH, memW            int   // of an image in memory
}

// walkOver is a walk over x [N,H,W,I] as if resized to height×width.
func walkOver(g op.Geometry, x tensor.Shape, height, width int) walk {
	w := walk{Geometry: g, images: x[0], height: height, width: width, memH: x[1], memW: x[2], channels: x[3]}
	w.outH, w.outW = g.Out(height, width)
	w.sourceY, w.sourceX = nearest(height, x[1]), nearest(width, x[2])
	return w
}

// strip is some rows of one image of the output: matrices of patches are made for one strip at a time.
type strip struct{ image, first, rows int }

// stripPixels is the size that a strip aims at: large enough for an efficient product, small enough to stay in the
// cache.
const stripPixels = 256

func (w walk) stripRows() int { return min(max(1, stripPixels/w.outW), w.outH) }

func (w walk) strips() (list []strip) {
	for image := range w.images {
		for first := 0; first < w.outH; first += w.stripRows() {
			list = append(list, strip{image, first, min(w.stripRows(), w.outH-first)})
		}
	}
	return list
}

// patch is the number of values that the kernel sees at once.
func (w walk) patch() int { return w.KH * w.KW * w.channels }

// scratch is the size of the largest strip's matrix of patches.
func (w walk) scratch() int { return w.stripRows() * w.outW * w.patch() }

// patches views a strip's matrix of patches.
func patches[T element](w walk, s strip, scratch []T) matrix[T] {
	return dense(scratch, s.rows*w.outW, w.patch())
}

// output views a strip of y [N,H',W',O].
func output[T element](w walk, s strip, y []T, channels int) matrix[T] {
	all := dense(y, w.images*w.outH*w.outW, channels)
	return all.part((s.image*w.outH+s.first)*w.outW, s.rows*w.outW)
}

// taps visits the pixels of a strip's patches in the order of the matrix. pixel counts through all images in memory; it
// is -1 in the padding.
func (w walk) taps(s strip, visit func(tap, pixel int)) {
	tap := 0
	for oy := s.first; oy < s.first+s.rows; oy++ {
		for ox := range w.outW {
			for ky := range w.KH {
				for kx := range w.KW {
					y, x, pixel := oy*w.Stride+ky-w.Pad.Top, ox*w.Stride+kx-w.Pad.Left, -1
					if y >= 0 && y < w.height && x >= 0 && x < w.width {
						pixel = (s.image*w.memH+w.sourceY[y])*w.memW + w.sourceX[x]
					}
					visit(tap, pixel)
					tap++
				}
			}
		}
	}
}

// gather fills a strip's matrix of patches from the images x.
func gather[T element](w walk, s strip, x []T, p matrix[T]) {
	w.taps(s, func(tap, pixel int) {
		if to := row(p.data, tap, w.channels); pixel >= 0 {
			copy(to, row(x, pixel, w.channels))
		} else {
			clear(to)
		}
	})
}

// scatter adds a strip's matrix of patches to the images x.
func scatter[T element](w walk, s strip, p matrix[T], x []T) {
	w.taps(s, func(tap, pixel int) {
		if pixel < 0 {
			return
		}
		to := row(x, pixel, w.channels)
		for c, v := range row(p.data, tap, w.channels) {
			to[c] += v
		}
	})
}

// conv is patches · weight.
func conv[T element](s op.Conv2D, r device.Request) *kernel[T] {
	height, width := s.Source(r.In[0].Shape)
	w := walkOver(s.Geometry, r.In[0].Shape, height, width)
	n := channels(r.Out.Shape)
	e := epilogue[T]{s.Bias, s.Residual, s.Act}
	return &kernel[T]{scratch: w.scratch(), run: func(o operands[T]) {
		weight := dense(o.in[1], w.patch(), n)
		e.begin(o)
		for _, part := range w.strips() {
			p := patches(w, part, o.scratch)
			gather(w, part, o.in[0], p)
			multiply(output(w, part, o.out, n), 1, p, weight, 1)
		}
		e.finish(o, n)
	}}
}

// convDataGrad adds up dy · weightᵀ, the gradients of the patches.
func convDataGrad[T element](s op.ConvDataGrad, r device.Request) *kernel[T] {
	w := walkOver(s.Geometry, r.Out.Shape, s.H, s.W)
	n := channels(r.In[0].Shape)
	e := epilogue[T]{residual: s.Residual}
	return &kernel[T]{scratch: w.scratch(), run: func(o operands[T]) {
		weight := dense(o.in[1], w.patch(), n)
		e.begin(o)
		for _, part := range w.strips() {
			p := patches(w, part, o.scratch)
			multiply(p, 1, output(w, part, o.in[0], n), weight.t(), 0)
			scatter(w, part, p, o.out)
		}
	}}
}

// convWeightGrad is patchesᵀ · dy.
func convWeightGrad[T element](s op.ConvWeightGrad, r device.Request) *kernel[T] {
	x := r.In[0].Shape
	w := walkOver(s.Geometry, x, x[1], x[2])
	n := channels(r.In[1].Shape)
	return &kernel[T]{scratch: w.scratch(), run: func(o operands[T]) {
		dweight := dense(o.out, w.patch(), n)
		clear(o.out)
		for _, part := range w.strips() {
			p := patches(w, part, o.scratch)
			gather(w, part, o.in[0], p)
			multiply(dweight, 1, p.t(), output(w, part, o.in[1], n), 1)
		}
	}}
}

func sumRows[T element](r device.Request) *kernel[T] {
	c := channels(r.Out.Shape)
	return simple(func(o operands[T]) { sumColumns(o.out, o.in[0], c) })
}

// sumColumns adds up the rows of x [rows,c] into out [c].
func sumColumns[T element](out, x []T, c int) {
	sum := make([]float64, c)
	for ; len(x) > 0; x = x[c:] {
		for i, v := range x[:c] {
			sum[i] += float64(v)
		}
	}
	round(out, sum)
}

// round stores sums.
func round[T element](out []T, sum []float64) {
	for i, v := range sum {
		out[i] = T(v)
	}
}
