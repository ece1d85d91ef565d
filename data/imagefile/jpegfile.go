package imagefile

import (
	"bytes"
	"errors"
	"io"

	"github.com/histdist/histdist/data/internal/jpeg"
	"github.com/histdist/histdist/data/tiff"
)

// jpegMetadata reads only as much of a JPEG file as its header needs: few kilobytes without a thumbnail or profile.
func jpegMetadata(file io.ReaderAt, size int64) (metadata, error) {
	for length := int64(16 << 10); ; length *= 8 {
		head := make([]byte, min(length, size))
		if _, err := file.ReadAt(head, 0); err != nil {
			return metadata{}, err
		}
		header, err := jpeg.ReadHeader(head)
		if errors.Is(err, jpeg.ErrTruncated) && length < size {
			continue
		}
		if err != nil {
			return metadata{}, err
		}
		m := metadata{
			width: header.Width, height: header.Height, grey: header.Components == 1, ink: header.Components == 4,
			oneScan: header.Rows,
		}
		if header.ICC != nil {
			m.icc = func() ([]byte, error) { return header.ICC, nil }
		}
		if header.Exif != nil {
			// Damaged Exif data is no reason to refuse an image: programs that copy it carelessly are common.
			if tags, err := tiff.OpenDirectory(bytes.NewReader(header.Exif), int64(len(header.Exif))); err == nil {
				m.orientation = tags.Orientation()
				m.text = func() ([]Pair, error) { return provenance(tags) }
			}
		}
		return m, nil
	}
}
