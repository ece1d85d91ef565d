package imagefile

import (
	"errors"
	"fmt"
	"io"

	"github.com/histdist/histdist/data/internal/jpeg"
)

// maxStripPixels limits a strip that has to be decoded as a whole.
const maxStripPixels = 1 << 26

// HasRows reports whether ReadRows can decode a file: PNG that is not interlaced, JPEG that is not progressive, or
// TIFF, stored upright. A file that can't be read has none.
func HasRows(path string) bool {
	has := false
	_ = open(path, func(file io.ReaderAt, size int64) error { // whoever reads it says what is wrong
		m, err := readMetadata(file, size)
		has = err == nil && m.rows() == nil
		return err
	})
	return has
}

// rows returns why an image can't be decoded row by row.
func (m metadata) rows() error {
	switch {
	case m.orientation != 1:
		return errors.New("the image is stored turned or mirrored: save it upright")
	case m.format == PNG && m.interlaced:
		return errors.New("png: the image is interlaced: save it without")
	case m.format == JPEG && !m.oneScan:
		return errors.New("jpeg: the image is progressive: save it as baseline JPEG")
	case m.format == PNG, m.format == JPEG:
		return nil
	case m.format == TIFF:
		if width, height := m.page.TileSize(); !m.page.Streams() && height > maxStripPixels/width {
			return errors.New("tiff: the image is one large strip: save it with tiles")
		}
		return nil
	}
	return fmt.Errorf("%s is decoded as a whole: save it as PNG, JPEG or TIFF", m.format)
}

// ReadRows decodes an image of any size from top to bottom: emit gets some rows RGB [n,width,3] at a time, which are
// valid during the call, the same as Read's. The notes are those of an Image. Memory is a few megabytes and rows, and
// of JPEG the bytes of the file.
func ReadRows(path string, o Options, emit func(rows []uint8) error) (notes []string, err error) {
	err = open(path, func(file io.ReaderAt, size int64) error {
		m, err := readMetadata(file, size)
		if err == nil {
			err = m.rows()
		}
		if err != nil {
			return err
		}
		profile, convert, err := o.profile(m)
		if err != nil {
			return err
		}
		transparent := 0
		ready := func(pix []uint8, notOpaque int) error {
			transparent += notOpaque
			if convert != nil {
				pix = converted(convert, profile.Channels, pix)
			}
			return emit(pix)
		}
		inks := convert != nil && m.ink
		switch m.format {
		case PNG:
			err = pngRows(file, size, ready)
		case JPEG:
			data := make([]byte, size)
			if _, err = file.ReadAt(data, 0); err == nil {
				err = jpeg.DecodeRows(data, inks, func(pix []uint8) error { return ready(pix, 0) })
			}
		default:
			page := m.page
			if inks {
				page = page.Inks()
			}
			err = page.Rows(func(raw []uint8) error { return ready(onWhite(page, raw, inks)) })
		}
		if err != nil {
			return err
		}
		img := Image{Width: m.width, Height: m.height, Notes: m.notes}
		img.noteTransparent(transparent)
		if convert != nil {
			img.note(fmt.Sprintf("colours converted to sRGB from the profile %q", profile.Name))
		}
		notes = img.Notes
		return nil
	})
	return notes, err
}
