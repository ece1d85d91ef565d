// Package slide reads whole-slide images: any region, at any resolution, in 8-bit sRGB. It neither writes slides
// (package tiff does) nor keeps a level in memory.
//
//	Open ── open.go: which reader ──▶ Reader ── library.go: OpenSlide, if it is installed (package openslide)
//	                                         ├─ tiff.go: package tiff, with cache.go; aperio.go and ome.go say what
//	                                         │  its metadata mean
//	                                         └─ dicom.go: one level in DICOM (dicomfile.go), with cache.go
//	Reader ── slide.go ──▶ Slide: sizes checked, micrometres per pixel known (mpp.go), colour profile prepared
//	Slide  ── view.go: At(mpp) ──▶ View: the slide, resized
//	View   ── region.go: the best level, reduced and resampled in pieces of bounded memory ──▶ imagefile.Image
//
// Coordinates are pixels of level 0, x to the right and y down, from the slide's upper left corner. A Slide may be used
// by several goroutines.
package slide
