package imagefile

import (
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"

	"golang.org/x/image/bmp"

	"github.com/histdist/histdist/data/tiff"
)

// defaultMaxPixels is the default limit of width × height: 16384 × 16384, 805 MB as RGB.
const defaultMaxPixels = 1 << 28

// ErrTooLarge says that an image has more pixels than the limit allows.
var ErrTooLarge = errors.New("the image is too large")

// Size returns the size of an image, upright, without decoding it: from a few kilobytes of a JPEG or TIFF file, or the
// chunk headers of a PNG file, so that a truncated one is already an error.
func Size(path string) (width, height int, err error) {
	err = open(path, func(file io.ReaderAt, size int64) error {
		m, err := readMetadata(file, size)
		if width, height = m.width, m.height; turned(m.orientation) {
			width, height = height, width
		}
		return err
	})
	return width, height, err
}

// open calls use with a regular file that is not empty; an error names the file.
func open(path string, use func(file io.ReaderAt, size int64) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err // names the path
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a file", path)
	case info.Size() == 0:
		return fmt.Errorf("%s: the file is empty", path)
	}
	if err := use(f, info.Size()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// metadata is what a file says besides its pixels.
type metadata struct {
	format        Format
	width, height int // as stored, not yet oriented
	orientation   int // 1 to 8
	grey          bool
	ink           bool       // CMYK
	interlaced    bool       // PNG
	oneScan       bool       // JPEG
	page          *tiff.Page // of a TIFF file
	notes         []string   // what is chosen or left out before anything is decoded

	icc  func() ([]byte, error) // the colour profile; nil without one
	text func() ([]Pair, error) // the provenance; nil without any
}

func readMetadata(file io.ReaderAt, size int64) (metadata, error) {
	head := make([]byte, min(size, 32))
	if _, err := file.ReadAt(head, 0); err != nil {
		return metadata{}, err
	}
	format, err := formatOf(head)
	if err != nil {
		return metadata{}, err
	}
	var m metadata
	switch format {
	case JPEG:
		m, err = jpegMetadata(file, size)
	case PNG:
		m, err = pngMetadata(file, size)
	case TIFF:
		m, err = tiffMetadata(file, size)
	case BMP:
		var config image.Config
		config, err = bmp.DecodeConfig(io.NewSectionReader(file, 0, 1<<12))
		m.width, m.height = config.Width, config.Height
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("bmp: the file is cut off")
		}
	}
	if err != nil {
		return metadata{}, err
	}
	m.format = format
	if m.orientation == 0 {
		m.orientation = 1
	}
	if m.width < 1 || m.height < 1 || m.width > math.MaxInt32 || m.height > math.MaxInt32 {
		return metadata{}, fmt.Errorf("an image of %d×%d pixels is impossible", m.width, m.height)
	}
	return m, nil
}
