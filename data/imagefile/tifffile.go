package imagefile

import (
	"fmt"
	"image"
	"io"

	"github.com/histdist/histdist/data/tiff"
)

// tiffMetadata chooses the page that is read, and refuses it if it can't be decoded.
func tiffMetadata(file io.ReaderAt, size int64) (metadata, error) {
	f, err := tiff.Open(file, size)
	if err != nil {
		return metadata{}, err
	}
	page, note, err := f.Main()
	if err == nil {
		err = page.Check()
	}
	if err != nil {
		return metadata{}, err
	}
	m := metadata{
		width: page.Width, height: page.Height, orientation: page.Orientation(),
		grey: page.Photometric <= tiff.BlackIsZero, ink: page.Photometric == tiff.Separated,
		page: page, text: func() ([]Pair, error) { return provenance(page.Directory) },
	}
	if note != "" {
		m.notes = append(m.notes, note)
	}
	if page.Ignored > 0 {
		m.notes = append(m.notes,
			fmt.Sprintf("ignored %d of %d samples a pixel, which have no stated meaning", page.Ignored, page.Samples))
	}
	if empty, err := page.EmptyTiles(); err == nil && empty > 0 {
		columns, rows := page.Tiles()
		m.notes = append(m.notes,
			fmt.Sprintf("%d of %d tiles are left out in the file; they are white", empty, columns*rows))
	}
	if page.Has(tiff.TagICCProfile) {
		m.icc = page.ICC
	}
	return m, nil
}

// ReadPage decodes a rectangle in a page to RGB [h,w,3], or to the inks of CMYK [h,w,4], on white where it is not
// opaque, and counts the pixels that are not.
func ReadPage(page *tiff.Page, r image.Rectangle, inks bool) (pix []uint8, transparent int, err error) {
	if inks {
		page = page.Inks()
	}
	raw := make([]uint8, r.Dx()*r.Dy()*page.Channels())
	if err := page.ReadRegion(raw, r); err != nil {
		return raw, 0, err
	}
	pix, transparent = onWhite(page, raw, inks)
	return pix, transparent, nil
}

// onWhite makes RGB, or inks, of a page's decoded values.
func onWhite(page *tiff.Page, raw []uint8, inks bool) (pix []uint8, transparent int) {
	colours, white := 3, uint8(255)
	if inks {
		colours, white = 4, 0
	}
	channels := page.Channels()
	if channels == colours && page.Alpha == tiff.NoAlpha {
		return raw, 0
	}
	grey := channels < 3
	pix = make([]uint8, 0, len(raw)/channels*colours)
	for ; len(raw) > 0; raw = raw[channels:] {
		alpha := uint8(255)
		if page.Alpha != tiff.NoAlpha {
			alpha = raw[channels-1]
		}
		if alpha != 255 {
			transparent++
		}
		for i := range colours {
			if grey {
				i = 0
			}
			pix = append(pix, composite(raw[i], alpha, white, page.Alpha == tiff.Associated))
		}
	}
	return pix, transparent
}
