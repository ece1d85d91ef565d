package tiff

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// span is where a strip or tile lies in the file; it is empty for a tile that was left out.
type span struct{ offset, length int64 }

// layout is where the strips or tiles of a page lie, row by row, for one plane after another.
type layout struct {
	spans []span
	plane int // how many a plane has
	empty int // how many tiles were left out
}

func (p *Page) planes() int {
	if p.planar {
		return p.Samples
	}
	return 1
}

// rowBytes returns the length of a row of a strip or tile, decompressed.
func (p *Page) rowBytes() int64 {
	samples := int64(p.Samples)
	if p.planar {
		samples = 1
	}
	return (int64(p.tileWidth)*samples*int64(p.bits) + 7) / 8
}

// band returns how many bytes are decompressed at once, and how many rows they hold: one, but for subsampled YCbCr.
func (p *Page) band() (bytes int64, rows int) {
	if p.subsampled() {
		units := int64(ceilDiv(p.tileWidth, p.sub[0]))
		return units * int64(p.sub[0]*p.sub[1]+2), p.sub[1]
	}
	return p.rowBytes(), 1
}

// loadLayout reads where the strips or tiles lie, and checks that they can hold the pixels.
func (p *Page) loadLayout() (*layout, error) {
	columns, rows := p.Tiles()
	planes := p.planes()
	if int64(columns)*int64(rows) > math.MaxInt32 {
		return nil, fmt.Errorf("tiff: %d×%d tiles are too many", columns, rows)
	}
	s := &layout{plane: columns * rows}
	want := s.plane * planes

	offsetTag, countTag := tagStripOffsets, tagStripByteCounts
	name := "strip"
	if p.tiled {
		name = "tile"
		if p.Has(tagTileOffsets) || !p.Has(tagStripOffsets) {
			offsetTag, countTag = tagTileOffsets, tagTileByteCounts
		}
	}
	offsets, err := p.Numbers(offsetTag, want)
	if err != nil {
		return nil, err
	}
	if len(offsets) < want {
		return nil, fmt.Errorf("tiff: the file locates %d %ss; the image has %d", len(offsets), name, want)
	}
	counts, err := p.Numbers(countTag, want)
	if err != nil || len(counts) < want {
		counts = nil
	}

	var sorted []uint64
	bandBytes, bandRows := p.band()
	s.spans = make([]span, want)
	for i := range s.spans {
		at := span{offset: int64(min(offsets[i], math.MaxInt64))}
		visible := p.Tile(0, i%s.plane/columns).Dy()
		bands := int64(ceilDiv(visible, bandRows))
		if counts != nil {
			at.length = int64(min(counts[i], math.MaxInt64))
		}
		raw := int64(math.MaxInt64)
		if bands <= math.MaxInt64/bandBytes {
			raw = bandBytes * bands
		}
		switch {
		case p.tiled && at.offset == 0 && counts != nil && at.length == 0:
			s.empty++
			continue
		case p.compression == uncompressed && (counts == nil || want == 1 || at.length > raw):
			at.length = raw // what the count must be, as libtiff has it
		case at.length == 0: // missing or not filled in
			if sorted == nil {
				sorted = slices.Sorted(slices.Values(offsets))
			}
			at.length = p.untilNext(sorted, at.offset)
		}
		if at.offset == 0 || !p.within(at.offset, at.length) {
			return nil, fmt.Errorf("tiff: %s %d of %d lies beyond the end of the file, which is cut off or damaged",
				name, i+1, want)
		}
		if at.length == 0 || !p.holds(at.length, bandBytes, bands) {
			return nil, fmt.Errorf("tiff: %s %d of %d has %d bytes, too few for its %d×%d pixels; the file is damaged",
				name, i+1, want, at.length, p.tileWidth, visible)
		}
		s.spans[i] = at
	}
	if s.empty == want {
		return nil, errors.New("tiff: all tiles of the image are left out")
	}
	if s.empty > 0 && planes > 1 {
		for i := range s.plane {
			for plane := range planes {
				if (s.spans[i].length == 0) != (s.spans[plane*s.plane+i].length == 0) {
					return nil, fmt.Errorf("tiff: tile %d is missing in some planes only", i+1)
				}
			}
		}
	}
	return s, nil
}

// untilNext returns how many bytes there are up to the next strip or tile, or the end of the file.
func (p *Page) untilNext(sorted []uint64, offset int64) int64 {
	i, _ := slices.BinarySearch(sorted, uint64(offset)+1)
	if i < len(sorted) && sorted[i] < uint64(p.size) {
		return int64(sorted[i]) - offset
	}
	return max(p.size-offset, 0)
}

// EmptyTiles returns how many tiles the file leaves out. They are decoded as white.
func (p *Page) EmptyTiles() (int, error) {
	s, err := p.layout()
	if err != nil {
		return 0, err
	}
	return s.empty / p.planes(), nil
}

// Absent reports whether the file leaves out a tile: the scanner stored nothing there. It is decoded as white.
func (p *Page) Absent(column, row int) (bool, error) {
	s, err := p.layout()
	if err != nil {
		return false, err
	}
	columns, rows := p.Tiles()
	if column < 0 || column >= columns || row < 0 || row >= rows {
		return false, fmt.Errorf("tiff: there is no tile in column %d, row %d of %d×%d tiles", column, row, columns, rows)
	}
	return s.spans[row*columns+column].length == 0, nil
}
