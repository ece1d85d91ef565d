package imagefile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image"
	"io"

	"golang.org/x/image/bmp"

	"github.com/histdist/histdist/data/internal/icc"
	"github.com/histdist/histdist/data/internal/jpeg"
)

// Options say how images are read; the zero value is right for most. Their JSON has the options that change pixels.
type Options struct {
	MaxPixels int `json:"-"`   // limit of width × height; 0: defaultMaxPixels
	ICC       ICC `json:"icc"` // what becomes of colour profiles
}

// Read reads an image. Errors name the file; ErrFormat and ErrTooLarge can be tested for.
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
		var data []byte
		if m.page == nil { // TIFF files are read piece by piece
			data = make([]byte, size)
			if _, err := file.ReadAt(data, 0); err != nil {
				return err
			}
		}
		img, err = decode(data, m, o)
		return err
	})
	return img, err
}

// Decode reads an image from the bytes of a file.
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

func (o Options) maxPixels() int { return cmp.Or(o.MaxPixels, defaultMaxPixels) }

func (o Options) check(m metadata) error {
	if int64(m.width)*int64(m.height) > int64(o.maxPixels()) {
		return fmt.Errorf("%w: %d×%d pixels; the limit is %d", ErrTooLarge, m.width, m.height, o.maxPixels())
	}
	return nil
}

func decode(data []byte, m metadata, o Options) (*Image, error) {
	// The profile first: a file that is refused for it need not be decoded.
	profile, convert, err := o.profile(m)
	if err != nil {
		return nil, err
	}
	img := &Image{Width: m.width, Height: m.height, Notes: m.notes}
	switch m.format {
	case JPEG:
		decode := jpeg.Decode
		if convert != nil && m.ink {
			decode = jpeg.DecodeInks
		}
		decoded, err := decode(data, o.maxPixels())
		if err != nil {
			return nil, err
		}
		img.Pix = decoded.Pix
		if decoded.Incomplete {
			img.note("the progressive JPEG leaves out its last refinements")
		}
	case TIFF:
		pix, transparent, err := ReadPage(m.page, image.Rect(0, 0, m.width, m.height), convert != nil && m.ink)
		if err != nil {
			return nil, err
		}
		img.Pix = pix
		img.noteTransparent(transparent)
	default:
		decoded, err := decodeOther(data, m.format)
		if err != nil {
			return nil, err
		}
		if size := decoded.Bounds().Size(); size != (image.Point{X: m.width, Y: m.height}) {
			return nil, fmt.Errorf("the header says %d×%d pixels, but there are %d×%d", m.width, m.height, size.X, size.Y)
		}
		var transparent int
		img.Pix, transparent = toRGB(decoded)
		img.noteTransparent(transparent)
	}
	if convert != nil {
		img.Pix = converted(convert, profile.Channels, img.Pix)
		img.note(fmt.Sprintf("colours converted to sRGB from the profile %q", profile.Name))
	}
	if m.orientation != 1 {
		img.Width, img.Height, img.Pix = oriented(img.Width, img.Height, img.Pix, m.orientation)
		img.note(fmt.Sprintf("turned upright by the Exif orientation %d", m.orientation))
	}
	return img, nil
}

// profile is the colour profile to apply and what it does; nil where nothing is to be done.
func (o Options) profile(m metadata) (profile *icc.Profile, convert *icc.Transform, err error) {
	if m.icc == nil || o.ICC != ApplyICC {
		return nil, nil, nil
	}
	raw, err := m.icc()
	if err == nil {
		profile, convert, err = transform(raw, m)
	}
	if err != nil {
		err = fmt.Errorf("%w; convert the image to sRGB or ignore its profile: --icc ignore, in YAML icc: ignore", err)
	}
	return profile, convert, err
}

// transform is the way from an image's colours to sRGB; nil where the profile changes next to nothing.
func transform(raw []byte, m metadata) (*icc.Profile, *icc.Transform, error) {
	p, err := icc.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case p.Channels == 4 && !m.ink:
		return nil, nil, fmt.Errorf("the colour profile %q is for CMYK images", p.Name)
	case p.Channels != 4 && m.ink:
		return nil, nil, fmt.Errorf("the colour profile %q is for images other than CMYK", p.Name)
	case p.Channels == 1 && !m.grey:
		return nil, nil, fmt.Errorf("the colour profile %q is for grey images", p.Name)
	}
	t, err := p.Transform()
	return p, t, err
}

// converted is RGB of RGB, of CMYK, or of grey values that are repeated as RGB.
func converted(t *icc.Transform, channels int, pix []uint8) []uint8 {
	switch channels {
	case 1:
		grey := make([]uint8, len(pix)/3)
		for i := range grey {
			grey[i] = pix[3*i]
		}
		t.Convert(pix, grey)
	case 3:
		t.Convert(pix, pix)
	default:
		t.Convert(pix, pix) // four values become three: never ahead of what is read
		pix = pix[:len(pix)/4*3]
	}
	return pix
}

func (img *Image) note(text string) { img.Notes = append(img.Notes, text) }

func (img *Image) noteTransparent(pixels int) {
	if pixels > 0 {
		img.note(fmt.Sprintf("composited on white: %d of %d pixels are not opaque", pixels, img.Width*img.Height))
	}
}

func decodeOther(data []byte, format Format) (img image.Image, err error) {
	switch format {
	case PNG:
		img, err = decodePNG(data)
	default:
		img, err = bmp.Decode(bytes.NewReader(data))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: the file is cut off", format)
	}
	return img, err
}
