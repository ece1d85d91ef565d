// Package imagefile reads image files as 8-bit sRGB and writes images with their provenance. It is no image library: it
// has no operations on pixels that reading doesn't need, no pyramids, and reads only a file's main page.
//
// Read takes JPEG (as libjpeg-turbo decodes it, bit for bit: package jpeg), PNG, TIFF and BigTIFF (package tiff) and
// BMP, told apart by content, not name. The result is 8-bit RGB [H,W,3]:
//
//   - Grey values and palettes become RGB.
//   - 16 bits become 8 by their high byte, like in Pillow and libpng: 257·v, the 16-bit form of v, becomes v.
//   - Alpha is composited on white, the colour of an empty slide, with a note unless it is opaque everywhere. (Pillow's
//     convert("RGB") drops it and shows whatever colour lies beneath.)
//   - CMYK becomes RGB by Pillow's formula.
//   - The Exif orientation is applied, with a note.
//   - An sRGB profile changes nothing; others are converted to sRGB (package icc), with a note, or refused, since
//     colours of an unknown space would pass for stains. Options.ICC can ignore profiles, as Pillow does.
//
// A value's way:
//
//	file ── metadata.go (format.go, jpegfile.go, pngfile.go, tifffile.go) ──▶ size, checked against a limit
//	     ── read.go (decoder) ── rgb.go (8 bits, alpha) ── package icc ── orientation.go ──▶ Image
//	Image ── write.go: png, jpeg, tiff, with provenance.go ──▶ a temporary file, renamed
//
// Images of any size are decoded some rows at a time by ReadRows (rows.go, pngreader.go), to the same pixels.
//
// image.go has the Image, icc.go the choice of profiles, kind.go the images that this program made.
//
// There is no cgo here, hence no libvips: JPEG 2000, WebP and slide formats are refused by name.
package imagefile
