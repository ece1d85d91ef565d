package imagefile

import (
	"io"

	"github.com/histdist/histdist/data/tiff"
)

// maxTagBytes limits one chunk or tag; the longest that matters is a colour profile.
const maxTagBytes = 16 << 20

// ifd is the tags of a TIFF file, or of the Exif structure of another file.
type ifd struct{ *tiff.Directory }

// readIFD reads the first directory of a TIFF structure.
func readIFD(source interface {
	io.ReaderAt
	Size() int64
},
) (ifd, error) {
	d, err := tiff.OpenDirectory(source, source.Size())
	return ifd{d}, err
}

func (d ifd) orientation() int { return d.Orientation() }
