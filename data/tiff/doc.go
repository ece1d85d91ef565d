// Package tiff reads TIFF and BigTIFF files: whole images of ordinary size, and the tiles, regions and levels of
// slides. It gives 8-bit grey, RGB or either with alpha; what a pixel means beyond that (colour profiles, compositing,
// orientation) is its caller's. It writes plain RGB, and slides as pyramids in OME-TIFF.
//
// Open reads only the directories and lists the pages. Check reports, in a user's words, why a page can't be decoded,
// as far as that is known without its compressed data, so a check of headers accepts what decoding accepts. ReadRegion
// decodes. Levels (pyramid.go) finds the smaller versions of a slide. A File may be used by several goroutines.
//
// A pixel's way:
//
//	file ── file.go, directory.go (tags.go) ──▶ Pages (page.go, compression.go: how pixels are stored, what is refused)
//	     ── layout.go ──▶ where a strip or tile lies in the file
//	     ── stream.go (packbits.go, lzw.go, Deflate, zstd, CCITT) ──▶ bytes ── samples.go ──▶ samples
//	        jpeg.go; ycbcr.go where chroma is subsampled ──────────────────────────────────────────▶ samples
//	     ── color.go ──▶ [height,width,channels] in the caller's memory (region.go)
//	pixels ── write.go, fields.go ──▶ bytes of a file
//	tiles ── slide.go: encode.go (JPEG or Deflate), reduce.go (the smaller levels), ome.go ──▶ a slide
//
// Strips and tiles are decoded row by row, except with JPEG and Zstandard, which decode them whole. Memory is bounded
// by what the file can hold: no row or segment is allocated that the bytes of the file could not fill at its
// compression's highest ratio.
//
// Sources: TIFF 6.0, the Adobe Photoshop TIFF technical notes, the BigTIFF and libtiff documentation. Where files in
// use differ from them, libtiff's and Pillow's reading is followed.
package tiff
