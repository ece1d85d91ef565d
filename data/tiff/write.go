package tiff

import (
	"bytes"
	"compress/zlib"
	"errors"
	"math"
)

// writtenRows is how many rows share a strip of a file that is written.
const writtenRows = 64

// EncodeRGB writes RGB [height,width,3] in strips of differences from left to right, compressed with Deflate. fields
// are further tags of the image, exif the tags of an Exif directory.
func EncodeRGB(pix []uint8, width, height int, fields, exif []Field) ([]byte, error) {
	var strips bytes.Buffer
	var starts, lengths []uint32
	for y := 0; y < height; y += writtenRows {
		start := strips.Len()
		starts = append(starts, uint32(start))
		w := zlib.NewWriter(&strips)
		row := make([]uint8, 3*width)
		for line := y; line < min(y+writtenRows, height); line++ {
			copy(row, pix[3*width*line:])
			for i := len(row) - 1; i >= 3; i-- {
				row[i] -= row[i-3]
			}
			if _, err := w.Write(row); err != nil {
				return nil, err
			}
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		lengths = append(lengths, uint32(strips.Len()-start))
	}
	if strips.Len() > math.MaxUint32-(64<<20) {
		return nil, errors.New("tiff: the image needs more than the 4 GB that a file can have")
	}

	// The directories' length does not depend on the offsets in them, so they are laid out twice: for it, then with
	// them.
	build := func(stripsAt int) []byte {
		offsets := make([]uint32, len(starts))
		for i, start := range starts {
			offsets[i] = uint32(stripsAt) + start
		}
		all := []Field{
			Long(tagImageWidth, uint32(width)),
			Long(tagImageLength, uint32(height)),
			Short(tagBitsPerSample, 8, 8, 8),
			Short(tagCompression, uint16(adobeDeflate)),
			Short(tagPhotometric, uint16(rgbColours)),
			Long(tagStripOffsets, offsets...),
			Short(tagSamplesPerPixel, 3),
			Long(tagRowsPerStrip, writtenRows),
			Long(tagStripByteCounts, lengths...),
			Short(tagPredictor, 2), // differences
		}
		return AppendExif(nil, append(all, fields...), exif)
	}
	return append(build(len(build(0))), strips.Bytes()...), nil
}
