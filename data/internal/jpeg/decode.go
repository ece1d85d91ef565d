package jpeg

import (
	"errors"
	"fmt"
	"slices"
)

// Image is a decoded file.
type Image struct {
	Header
	Pix []uint8 // RGB [H,W,3], of DecodeInks CMYK [H,W,4], of DecodeSegment with AsStored [H,W,Components]
}

// decoder holds what has been read of a file so far.
type decoder struct {
	data []byte
	pos  int

	header         Header
	frame          *frame
	ended          bool // the end-of-image marker was met
	jfif           bool
	adobe          bool
	adobeTransform byte
	iccChunks      [][]byte
	conversion     Conversion
	tablesOnly     bool // the data may end without an image

	restartInterval int // in units; 0: none
	quant           [4][64]int32
	quantSet        [4]bool
	dc, ac          [4]huffman
	scan            scan
	rowOfUnits      func(y int) error // is called when a row of a scan is decoded; nil: no
}

type frame struct {
	width, height int
	progressive   bool
	hMax, vMax    int // largest sampling factors
	mcusX, mcusY  int // units of an interleaved scan
	components    []component
}

type component struct {
	id, quantIndex uint8
	h, v           int // sampling factors
	width, height  int // samples that count
	stride, rows   int // samples that are coded: whole units

	quant     [64]int32 // row by row
	quantSet  bool
	precision [64]int8 // lowest bit that scans have given of each coefficient, in the file's order; -1: none yet

	plane        []uint8 // [rows,stride], or of DecodeRows some rows from base on
	base         int
	coefficients [][64]int16 // of a progressive frame, block by block, in the file's order
}

type scan struct {
	components  []scanComponent
	first, last int // coefficients
	high, low   int // successive approximation
	blocksEnded int // blocks still to come without coefficients of their own: EOBRUN
}

type scanComponent struct {
	*component
	dc, ac   *huffman
	previous int32 // DC of the block before
}

// Decode decodes the first image of a file. maxPixels bounds width × height.
func Decode(data []byte, maxPixels int) (*Image, error) {
	d := decoder{data: data}
	return d.decode(maxPixels, (*decoder).rgb)
}

// DecodeInks is Decode for files of four components: Pix is CMYK [H,W,4], 255 is all of an ink.
func DecodeInks(data []byte, maxPixels int) (*Image, error) {
	d := decoder{data: data}
	return d.decode(maxPixels, (*decoder).inks)
}

func (d *decoder) decode(maxPixels int, pix func(*decoder) []uint8) (*Image, error) {
	if err := d.segments(true); err != nil {
		return nil, err
	}
	if err := d.allocate(maxPixels); err != nil {
		return nil, err
	}
	for !d.ended {
		if err := d.decodeScan(); err != nil {
			return nil, err
		}
		if d.complete() {
			break // what follows can't change the image; libjpeg too does without an end-of-image marker
		}
		if err := d.segments(true); err != nil {
			return nil, err
		}
	}
	for i := range d.frame.components {
		c := &d.frame.components[i]
		if !c.quantSet {
			return nil, fmt.Errorf("jpeg: no scan has component %d", c.id)
		}
		for _, low := range c.precision {
			d.header.Incomplete = d.header.Incomplete || d.frame.progressive && low != 0
		}
		if d.frame.progressive {
			c.transform()
		}
	}
	return &Image{Header: d.header, Pix: pix(d)}, nil
}

// allocate makes room for the planes, unless the file is too short to fill them.
func (d *decoder) allocate(maxPixels int) error {
	f := d.frame
	if f.width*f.height > maxPixels {
		return fmt.Errorf("jpeg: %d×%d pixels; the limit is %d", f.width, f.height, maxPixels)
	}
	if err := d.checkLength(); err != nil {
		return err
	}
	for i := range f.components {
		c := &f.components[i]
		c.plane = make([]uint8, c.stride*c.rows)
		if f.progressive {
			c.coefficients = make([][64]int16, c.stride*c.rows/64)
		}
	}
	return nil
}

// checkLength refuses a file that is too short for its blocks.
func (d *decoder) checkLength() error {
	f, blocks := d.frame, 0
	for i := range f.components {
		blocks += ceilDiv(f.components[i].width, 8) * ceilDiv(f.components[i].height, 8)
	}
	if len(d.data)-d.pos < blocks/8 { // each block has one bit for its DC coefficient at least
		return ErrTruncated
	}
	return nil
}

// complete reports whether all scans of a sequential frame are there.
func (d *decoder) complete() bool {
	unseen := func(c component) bool { return !c.quantSet }
	return !d.frame.progressive && !slices.ContainsFunc(d.frame.components, unseen)
}

// decodeScan decodes the entropy-coded data from d.pos on: units of blocks of all components, or the visible blocks of
// one.
func (d *decoder) decodeScan() error {
	s, f := &d.scan, d.frame
	b := bitReader{data: d.data, pos: d.pos}
	unitsX, unitsY := f.mcusX, f.mcusY
	single := len(s.components) == 1
	if single {
		unitsX, unitsY = ceilDiv(s.components[0].width, 8), ceilDiv(s.components[0].height, 8)
	}
	unit := 0
	for y := range unitsY {
		for x := range unitsX {
			if d.restartInterval > 0 && unit > 0 && unit%d.restartInterval == 0 {
				if err := b.restart((unit/d.restartInterval - 1) & 7); err != nil {
					return err
				}
				s.blocksEnded = 0
				for i := range s.components {
					s.components[i].previous = 0
				}
			}
			unit++
			if single {
				if err := d.decodeBlock(&s.components[0], &b, x, y); err != nil {
					return d.codeError(&b, err)
				}
				continue
			}
			for i := range s.components {
				c := &s.components[i]
				for v := range c.v {
					for h := range c.h {
						if err := d.decodeBlock(c, &b, x*c.h+h, y*c.v+v); err != nil {
							return d.codeError(&b, err)
						}
					}
				}
			}
		}
		if b.overrun() {
			return ErrTruncated
		}
		if d.rowOfUnits != nil {
			if err := d.rowOfUnits(y); err != nil {
				return err
			}
		}
	}
	d.pos = b.pos
	return nil
}

// codeError reports truncation if an invalid code is due to the padding after the data's end.
func (d *decoder) codeError(b *bitReader, err error) error {
	if errors.Is(err, errCode) && b.overrun() {
		return ErrTruncated
	}
	return err
}

// decodeBlock decodes the block at column x and row y of a component's blocks.
func (d *decoder) decodeBlock(c *scanComponent, b *bitReader, x, y int) error {
	if d.frame.progressive {
		return d.progressiveBlock(c, b, &c.coefficients[y*(c.stride/8)+x])
	}
	var block [64]int32
	last, err := c.baselineBlock(b, &block)
	if err != nil {
		return err
	}
	inverse(&block, last, c.plane[(y*8-c.base)*c.stride+x*8:], c.stride)
	return nil
}

// transform makes the plane of a progressive frame from its coefficients.
func (c *component) transform() {
	blocksX := c.stride / 8
	for i := range c.coefficients {
		var block [64]int32
		last := 0
		for k, value := range c.coefficients[i] {
			if value != 0 {
				at := zigzag[k]
				block[at] = int32(value) * c.quant[at]
				last = k
			}
		}
		inverse(&block, last, c.plane[i/blocksX*8*c.stride+i%blocksX*8:], c.stride)
	}
	c.coefficients = nil
}
