// Package pillow resizes 8-bit images as Pillow's Image.resize does, bit for bit.
//
// Networks trained on images that Pillow resized need the same resize, however good another is. The package has the
// modes L and RGB, parts of images and every classic filter, but no reducing_gap, alpha or deep images.
//
//	Resize(src, width, height, filter), ResizePart                                             (resize.go)
//	  → newWeights   per axis: which source pixels an output pixel is made of, in fixed point   (weights.go, filter.go)
//	  → horizontal   rows of the source → rows of the new width, rounded to 8 bits              (horizontal.go, lanes.go)
//	  → vertical     rows of the new width → rows of the new height, rounded to 8 bits          (vertical.go)
//
// The image between the passes has 8 bits, so their order matters. Up to version 12 Pillow went horizontally first;
// version 13, which this package follows, goes vertically first if the height shrinks by more than twice as much as the
// width. A pass that keeps its size is left out. Nearest is a table look-up (nearest.go).
package pillow
