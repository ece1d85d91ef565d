package imagefile

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/histdist/histdist/data/imagefile/jpeg"
)

// Options say how pictures are read; the zero value is right for most.
type Options struct {
	MaxPixels     int  // limit of width × height; 0: DefaultMaxPixels
	IgnoreProfile bool // take the numbers as sRGB whatever the colour profile says, as Pillow does
}

// Read reads a picture. Errors name the file and are or wrap ErrFormat, ErrTooLarge or those of package os where that fits.
func Read(path string, o Options) (*Image, error) {
	var img *Image
	err := open(path, func(file io.ReaderAt, size int64) error {
		m, err := readMetadata(file, size) // before the whole file is read
		if err == nil {
			err = o.check(m)
		}
		if err != nil {
			return err
		}
		data := make([]byte, size)
		if _, err := file.ReadAt(data, 0); err != nil {
			return err
		}
		img, err = decode(data, m, o)
		return err
	})
	return img, err
}

// Decode reads a picture from the bytes of a file.
func Decode(data []byte, o Options) (*Image, error) {
	if len(data) == 0 {
		return nil, errors.New("the file is empty")
	}
	m, err := readMetadata(bytes.NewReader(data), int64(len(data)))
	if err == nil {
		err = o.check(m)
	}
	if err != nil {
		return nil, err
	}
	return decode(data, m, o)
}

func (o Options) maxPixels() int {
	if o.MaxPixels > 0 {
		return o.MaxPixels
	}
	return DefaultMaxPixels
}

func (o Options) check(m metadata) error {
	if int64(m.width)*int64(m.height) > int64(o.maxPixels()) {
		return fmt.Errorf("%w: %d×%d pixels; the limit is %d", ErrTooLarge, m.width, m.height, o.maxPixels())
	}
	return nil
}

func decode(data []byte, m metadata, o Options) (*Image, error) {
	// The profile first: a file that is refused for it need not be decoded.
	var convert *profile
	if m.icc != nil && !o.IgnoreProfile {
		raw, err := m.icc()
		if err == nil {
			convert, err = parseProfile(raw, m)
		}
		if err != nil {
			return nil, fmt.Errorf("%w; convert the picture to sRGB, or have profiles ignored", err)
		}
	}

	img := &Image{Width: m.width, Height: m.height}
	switch m.format {
	case JPEG:
		picture, err := jpeg.Decode(data, o.maxPixels())
		if err != nil {
			return nil, err
		}
		img.Pix = picture.Pix
		if picture.Incomplete {
			img.note("the progressive JPEG leaves out its last refinements")
		}
	default:
		decoded, err := decodeOther(data, m.format)
		if err != nil {
			return nil, err
		}
		if size := decoded.Bounds().Size(); size != (image.Point{X: m.width, Y: m.height}) {
			return nil, fmt.Errorf("the header tells %d×%d pixels, there are %d×%d", m.width, m.height, size.X, size.Y)
		}
		var transparent int
		img.Pix, transparent = toRGB(decoded)
		if transparent > 0 {
			img.note(fmt.Sprintf("composited on white: %d of %d pixels are not opaque", transparent, m.width*m.height))
		}
	}
	if convert != nil {
		convert.apply(img.Pix)
		img.note(fmt.Sprintf("colours converted to sRGB from the profile %q", convert.name))
	}
	if m.orientation != 1 {
		img.Width, img.Height, img.Pix = oriented(img.Width, img.Height, img.Pix, m.orientation)
		img.note(fmt.Sprintf("turned upright, as the Exif orientation %d says", m.orientation))
	}
	if m.pages {
		img.note("the file has several pages; the first was read")
	}
	return img, nil
}

func (img *Image) note(text string) { img.Notes = append(img.Notes, text) }

func decodeOther(data []byte, format Format) (img image.Image, err error) {
	r := bytes.NewReader(data)
	switch format {
	case PNG:
		img, err = png.Decode(r)
	case TIFF:
		img, err = tiff.Decode(r)
	default:
		img, err = bmp.Decode(r)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the file is cut off", format)
	}
	return img, err
}
