package imagefile

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/png"
	"path/filepath"
	"strings"

	"github.com/histdist/histdist/data/internal/jpeg"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/internal/atomicfile"
)

// DefaultQuality is the default quality of JPEG files: Pillow's, with which the official implementation writes.
const DefaultQuality = 75

// WriteOptions say how images are written.
type WriteOptions struct {
	Provenance []Pair
	Quality    int // of JPEG, 1 to 100; 0: DefaultQuality
}

// FormatByName tells the format to write from a file's extension: .png, .jpg, .jpeg, .tif, .tiff.
func FormatByName(path string) (Format, error) {
	switch extension := strings.ToLower(filepath.Ext(path)); extension {
	case ".png":
		return PNG, nil
	case ".jpg", ".jpeg":
		return JPEG, nil
	case ".tif", ".tiff":
		return TIFF, nil
	default:
		return "", fmt.Errorf("%s: images are written as .png, .jpg, .jpeg, .tif or .tiff, not %q: %w",
			path, extension, ErrFormat)
	}
}

// Encode returns the bytes of a file: lossless PNG or TIFF, or JPEG as libjpeg-turbo writes it, except for Exif data.
func Encode(img *Image, format Format, o WriteOptions) ([]byte, error) {
	if err := img.Check(); err != nil {
		return nil, err
	}
	switch format {
	case PNG:
		return encodePNG(img, o.Provenance)
	case TIFF:
		fields, exif, err := provenanceFields(o.Provenance)
		if err != nil {
			return nil, err
		}
		return tiff.EncodeRGB(img.Pix, img.Width, img.Height, fields, exif)
	case JPEG:
		exif, err := exifOf(o.Provenance)
		if err != nil {
			return nil, err
		}
		return jpeg.Encode(img.Pix, img.Width, img.Height, jpeg.EncodeOptions{
			Quality: cmp.Or(o.Quality, DefaultQuality), Exif: exif,
		})
	}
	return nil, fmt.Errorf("%s is not written; PNG, JPEG and TIFF are: %w", format, ErrFormat)
}

func encodePNG(img *Image, pairs []Pair) ([]byte, error) {
	rgba := image.NewRGBA(image.Rect(0, 0, img.Width, img.Height))
	for i := range img.Width * img.Height {
		p := rgba.Pix[4*i : 4*i+4]
		p[0], p[1], p[2], p[3] = img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2], 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, rgba); err != nil { // an opaque image is written as RGB
		return nil, err
	}
	return withTexts(b.Bytes(), pairs)
}

// Write writes an image in the format of the path's extension, whole or not at all.
func Write(path string, img *Image, o WriteOptions) error {
	format, err := FormatByName(path)
	if err != nil {
		return err
	}
	data, err := Encode(img, format, o)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, data)
}
