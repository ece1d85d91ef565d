package tiff

import (
	"errors"
	"fmt"
	"image"
	"io"
)

// ReadRegion decodes the pixels of a rectangle inside the page into pix, [r.Dy(),r.Dx(),Channels] without gaps. Besides
// pix it needs memory for some rows, or for JPEG a strip or tile, of the file.
func (p *Page) ReadRegion(pix []uint8, r image.Rectangle) error {
	if err := p.Check(); err != nil {
		return err
	}
	if !r.In(image.Rect(0, 0, p.Width, p.Height)) {
		return fmt.Errorf("tiff: the region %v is not inside the page of %d×%d pixels", r, p.Width, p.Height)
	}
	if len(pix) != r.Dx()*r.Dy()*p.Channels() {
		return fmt.Errorf("tiff: %d values for a region of %d×%d with %d channels",
			len(pix), r.Dx(), r.Dy(), p.Channels())
	}
	if r.Empty() {
		return nil
	}
	d, err := p.newDecoder()
	if err != nil {
		return err
	}
	for row := r.Min.Y / p.tileHeight; row*p.tileHeight < r.Max.Y; row++ {
		for column := r.Min.X / p.tileWidth; column*p.tileWidth < r.Max.X; column++ {
			if err := d.segment(pix, r, column, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rows decodes the page from top to bottom, each strip or tile once: emit gets some rows [n,Width,Channels] at a time,
// which are valid during the call. Besides them it needs the memory of a row of tiles, or of a strip where that is JPEG
// or Zstandard; see Streams.
func (p *Page) Rows(emit func(pix []uint8) error) error {
	if err := p.Check(); err != nil {
		return err
	}
	_, rows := p.Tiles()
	row := p.Width * p.Channels()
	if p.tiled {
		for i := range rows {
			r := image.Rect(0, i*p.tileHeight, p.Width, min((i+1)*p.tileHeight, p.Height))
			pix := make([]uint8, row*r.Dy())
			if err := p.ReadRegion(pix, r); err != nil {
				return err
			}
			if err := emit(pix); err != nil {
				return err
			}
		}
		return nil
	}
	d, err := p.newDecoder()
	if err != nil {
		return err
	}
	band := make([]uint8, 0, row*max(1, rowsBytes/row))
	for i := range rows {
		strip := p.Tile(0, i)
		sources, err := d.sources(i, strip, 0)
		if err != nil {
			return err
		}
		for y := range strip.Dy() {
			at := len(band)
			band = band[:at+row]
			if err := d.row(band[at:], sources, i, strip, 0); err != nil {
				return err
			}
			if len(band) == cap(band) || i == rows-1 && y == strip.Dy()-1 {
				if err := emit(band); err != nil {
					return err
				}
				band = band[:0]
			}
		}
	}
	return nil
}

// rowsBytes is how much of a page Rows gives at a time, about.
const rowsBytes = 4 << 20

// Streams reports whether Rows needs memory for some rows of a strip only, however many it has.
func (p *Page) Streams() bool {
	return p.compression != jpegCompression && p.compression != zstdCompression && p.compression != oldZstd
}

type decoder struct {
	*Page
	all     *layout
	columns int
	samples []uint8   // of a row of a tile
	plane   []uint8   // of one plane of it
	packed  []byte    // a band as the file has it
	rows    [][]uint8 // of a band of subsampled YCbCr
	streams []stream  // of planes
}

func (p *Page) newDecoder() (*decoder, error) {
	all, err := p.layout()
	if err != nil {
		return nil, err
	}
	columns, _ := p.Tiles()
	return &decoder{Page: p, all: all, columns: columns, streams: make([]stream, p.planes())}, nil
}

// nextRow gives the samples of the next row of a plane of a strip or tile.
type nextRow func(samples []uint8) error

// segment decodes the part of a strip or tile that lies in the region r.
func (d *decoder) segment(pix []uint8, r image.Rectangle, column, row int) error {
	tile := d.Tile(column, row)
	part := tile.Intersect(r)
	channels := d.Channels()
	index := row*d.columns + column
	line := func(y int) []uint8 {
		start := ((y-r.Min.Y)*r.Dx() + part.Min.X - r.Min.X) * channels
		return pix[start:][:part.Dx()*channels]
	}
	if d.all.spans[index].length == 0 {
		for y := part.Min.Y; y < part.Max.Y; y++ {
			out := line(y)
			for i := range out {
				out[i] = 255
			}
		}
		return nil
	}

	sources, err := d.sources(index, tile, part.Min.Y-tile.Min.Y)
	if err != nil {
		return err
	}
	left := (part.Min.X - tile.Min.X) * d.Samples
	for y := part.Min.Y; y < part.Max.Y; y++ {
		if err := d.row(line(y), sources, index, tile, left); err != nil {
			return err
		}
	}
	return nil
}

// sources gives the rows of all planes of a strip or tile after skip rows; nil for planes that are not wanted.
func (d *decoder) sources(index int, tile image.Rectangle, skip int) ([]nextRow, error) {
	planes := d.planes()
	sources := make([]nextRow, planes)
	for i := range sources {
		if !d.wanted(i) {
			continue
		}
		next, err := d.open(i, index, tile, skip)
		if err != nil {
			return nil, err
		}
		sources[i] = next
	}
	if d.samples == nil {
		d.samples = make([]uint8, d.tileWidth*d.Samples)
		if planes > 1 {
			d.plane = make([]uint8, d.tileWidth)
		}
	}
	return sources, nil
}

// row decodes the next row of a strip or tile into out, from its sample left on.
func (d *decoder) row(out []uint8, sources []nextRow, index int, tile image.Rectangle, left int) error {
	planes := len(sources)
	for i, next := range sources {
		if next == nil {
			continue
		}
		into := d.samples
		if planes > 1 {
			into = d.plane
		}
		if err := next(into); err != nil {
			return d.segmentError(i*d.all.plane+index, err)
		}
		if planes > 1 {
			for x, v := range into[:tile.Dx()] {
				d.samples[x*planes+i] = v
			}
		}
	}
	d.convert(out, d.samples[left:])
	return nil
}

// wanted reports whether a plane holds a colour or alpha.
func (p *Page) wanted(plane int) bool {
	colours := p.Samples - p.Ignored
	if p.Alpha != NoAlpha {
		colours--
	}
	return plane < colours || p.Alpha != NoAlpha && plane == p.alphaAt
}

// open starts decoding a plane of a strip or tile after skip rows.
func (d *decoder) open(plane, index int, tile image.Rectangle, skip int) (nextRow, error) {
	index += plane * d.all.plane
	at := d.all.spans[index]
	if d.compression == jpegCompression {
		pix, stride, err := d.decodeJPEG(index, at)
		if err != nil {
			return nil, err
		}
		pix = pix[skip*stride:]
		return func(samples []uint8) error {
			copy(samples, pix[:stride])
			pix = pix[stride:]
			return nil
		}, nil
	}
	bandBytes, bandRows := d.band()
	skipped := int64(skip/bandRows) * bandBytes
	if d.compression == uncompressed {
		at.offset, at.length, skipped = at.offset+skipped, at.length-skipped, 0
	}
	in, err := d.streams[plane].open(d.Page, at, tile.Dy())
	if err != nil {
		return nil, d.segmentError(index, err)
	}
	if _, err := io.CopyN(io.Discard, in, skipped); err != nil {
		return nil, d.segmentError(index, err)
	}
	if int64(len(d.packed)) < bandBytes {
		d.packed = make([]byte, bandBytes)
	}
	band := func() error {
		_, err := io.ReadFull(in, d.packed)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if d.subsampled() {
		return d.subsampledRows(band, skip%bandRows), nil
	}
	samples := d.Samples / d.planes()
	return func(out []uint8) error {
		if err := band(); err != nil {
			return err
		}
		if d.predict {
			undoPredictor(d.packed, samples, d.bits, d.order)
		}
		d.unpack(out[:d.tileWidth*samples], d.packed)
		return nil
	}, nil
}

// subsampledRows gives the rows of bands of subsampled YCbCr, from one of the first band's on.
func (d *decoder) subsampledRows(band func() error, skip int) nextRow {
	if d.rows == nil {
		d.rows = make([][]uint8, d.sub[1])
		for i := range d.rows {
			d.rows[i] = make([]uint8, 3*d.tileWidth)
		}
	}
	at := len(d.rows)
	return func(samples []uint8) error {
		if at == len(d.rows) {
			if err := band(); err != nil {
				return err
			}
			d.spread(d.rows, d.packed)
			at, skip = skip, 0
		}
		copy(samples, d.rows[at])
		at++
		return nil
	}
}
