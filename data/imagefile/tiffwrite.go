package imagefile

import (
	"bytes"
	"compress/zlib"
	"errors"
	"math"
)

// tiffRows is how many rows share a strip.
const tiffRows = 64

// encodeTIFF writes RGB in strips, each row as differences from left to right, compressed with Deflate.
func encodeTIFF(img *Image, pairs []Pair) ([]byte, error) {
	described, exif, err := provenanceFields(pairs)
	if err != nil {
		return nil, err
	}
	var strips bytes.Buffer
	var starts, lengths []uint32
	for y := 0; y < img.Height; y += tiffRows {
		start := strips.Len()
		starts = append(starts, uint32(start))
		w := zlib.NewWriter(&strips)
		row := make([]uint8, 3*img.Width)
		for line := y; line < min(y+tiffRows, img.Height); line++ {
			copy(row, img.Pix[3*img.Width*line:])
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
		return nil, errors.New("tiff: the picture needs more than the 4 GB that a file can have")
	}

	// The directory's length does not depend on the offsets in it, so it is laid out twice: for its length, then with them.
	build := func(stripsAt, exifAt int) []byte {
		offsets := make([]uint32, len(starts))
		for i, start := range starts {
			offsets[i] = uint32(stripsAt) + start
		}
		fields := []field{
			longField(tagImageWidth, uint32(img.Width)),
			longField(tagImageLength, uint32(img.Height)),
			shortField(tagBitsPerSample, 8, 8, 8),
			shortField(tagCompression, 8), // Deflate
			shortField(tagPhotometric, 2), // RGB
			longField(tagStripOffsets, offsets...),
			shortField(tagSamplesPerPixel, 3),
			longField(tagRowsPerStrip, tiffRows),
			longField(tagStripByteCounts, lengths...),
			shortField(tagPredictor, 2), // differences
		}
		fields = append(fields, described...)
		if exif != nil {
			fields = append(fields, longField(tagExifIFD, uint32(exifAt)))
		}
		return directory(8, fields)
	}
	exifAt := 8 + len(build(0, 0))
	stripsAt := exifAt
	if exif != nil {
		stripsAt += len(directory(exifAt, exif))
	}
	out := append([]byte("II*\x00\x08\x00\x00\x00"), build(stripsAt, exifAt)...)
	if exif != nil {
		out = append(out, directory(exifAt, exif)...)
	}
	return append(out, strips.Bytes()...), nil
}
