// Package pillow resizes 8-bit pictures as Pillow's Image.resize does, bit for bit.
//
// Networks were trained on pictures that Pillow had made small, so another resize, however good, is another input. The
// package covers the modes L and RGB and every classic filter; boxes, reducing_gap, alpha and deep pictures it leaves out, and it
// decodes no files.
//
//	Resize(src, width, height, filter)
//	  → newWeights   per axis: which source pixels an output pixel is made of, in fixed point   (weights.go, filter.go)
//	  → horizontal   rows of the source → rows of the new width, rounded to 8 bits              (horizontal.go)
//	  → vertical     rows of the new width → rows of the new height, rounded to 8 bits          (vertical.go)
//
// The picture between the passes has 8 bits, so their order shows in the result. Pillow went horizontally first up to version
// 12; version 13, which this package follows, goes vertically first where the height shrinks by more than twice what the width does. A pass
// whose size stays is left out. Nearest is a table look-up of its own (nearest.go).
package pillow
