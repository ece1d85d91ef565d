package tiff

import (
	"errors"
	"fmt"
	"math"

	"github.com/histdist/histdist/data/internal/jpeg"
)

// jpegState is what the JPEG strips or tiles of a page share.
type jpegState struct {
	tables     *jpeg.Tables // nil where each has its own
	conversion jpeg.Conversion
}

// readJPEG refuses what the JPEG decoder lacks. The photometric tag alone decides between RGB and YCbCr: Aperio's
// segments are RGB whatever their Adobe marker says.
func (p *Page) readJPEG() error {
	switch {
	case p.bits != 8:
		return unsupported("JPEG compression of %d bits a sample", p.bits)
	case p.Photometric == paletteColours:
		return unsupported("JPEG compression of a palette's indices")
	case !p.planar && p.Samples == 2 || p.Samples > 4:
		return unsupported("JPEG compression of %d samples a pixel", p.Samples)
	case p.planar && p.Photometric == yCbCr && p.sub != [2]int{1, 1}:
		return unsupported("subsampled YCbCr in planes")
	}
	if p.Photometric == yCbCr && !p.planar {
		if p.Samples != 3 {
			return unsupported("JPEG compression of YCbCr with alpha")
		}
		p.ycbcr = nil // the decoder converts, as libjpeg does
	}
	return nil
}

func (p *Page) loadJPEG() (*jpegState, error) {
	s := &jpegState{conversion: jpeg.AsStored}
	if p.Photometric == yCbCr && !p.planar {
		s.conversion = jpeg.FromYCbCr
	}
	tables, err := p.Bytes(tagJPEGTables)
	if err != nil || len(tables) <= 4 { // nothing between the first and the last marker
		return s, err
	}
	s.tables, err = jpeg.ReadTables(tables)
	return s, err
}

// checkJPEG reads the header of the first strip or tile.
func (p *Page) checkJPEG() error {
	if _, err := p.jpegState(); err != nil {
		return err
	}
	all, err := p.layout()
	if err != nil {
		return err
	}
	for i, at := range all.spans {
		if at.length == 0 {
			continue
		}
		for length := int64(4 << 10); ; length *= 8 {
			data, err := p.readAll(span{at.offset, min(length, at.length)})
			if err != nil {
				return err
			}
			header, err := jpeg.ReadHeader(data)
			if errors.Is(err, jpeg.ErrTruncated) && length < at.length {
				continue
			}
			if err != nil {
				return p.segmentError(i, err)
			}
			return p.checkJPEGHeader(i, header)
		}
	}
	return nil
}

func (p *Page) checkJPEGHeader(index int, header jpeg.Header) error {
	columns, rows := p.Tiles()
	visible := p.Tile(index%columns, index/columns%rows)
	want := p.Samples / p.planes()
	switch {
	case header.Components != want:
		return p.segmentError(index,
			fmt.Errorf("its JPEG data have %d components, the page has %d", header.Components, want))
	case header.Width < visible.Dx() || header.Height < visible.Dy():
		return p.segmentError(index, fmt.Errorf("its JPEG data have %d×%d pixels, the image needs %d×%d there",
			header.Width, header.Height, visible.Dx(), visible.Dy()))
	}
	return nil
}

// decodeJPEG decodes a strip or tile: samples of 8 bits, row by row, and the row's length.
func (p *Page) decodeJPEG(index int, at span) (pix []uint8, stride int, err error) {
	state, err := p.jpegState()
	if err != nil {
		return nil, 0, err
	}
	data, err := p.readAll(at)
	if err != nil {
		return nil, 0, err
	}
	limit := int(min(int64(p.tileWidth)*int64(p.tileHeight), math.MaxInt32))
	img, err := jpeg.DecodeSegment(data, state.tables, state.conversion, limit)
	if err != nil {
		return nil, 0, p.segmentError(index, err)
	}
	if err := p.checkJPEGHeader(index, img.Header); err != nil {
		return nil, 0, err
	}
	return img.Pix, img.Width * img.Components, nil
}
