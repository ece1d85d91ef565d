package jpeg

import (
	"encoding/binary"
	"fmt"
)

// Subsampling is the resolution of the colour in a file.
type Subsampling int

// Subsampling444 is one colour for each pixel. The default is one for 2×2 pixels, as in Pillow and libjpeg.
const Subsampling444 Subsampling = 1

// EncodeOptions say how an image is written.
type EncodeOptions struct {
	Quality     int // 1 to 100; libjpeg's and Pillow's default is 75
	Subsampling Subsampling
	Exif        []byte // a TIFF structure, or nil
}

// MaxExif is the length of the longest Exif structure that fits into its segment.
const MaxExif = 65535 - 2 - 6

// Encode writes RGB [H,W,3] as a baseline file: the bytes that libjpeg-turbo writes at this quality, with an Exif
// segment if given.
func Encode(pix []uint8, width, height int, o EncodeOptions) ([]byte, error) {
	if width < 1 || width > 65535 || height < 1 || height > 65535 || len(pix) != 3*width*height {
		return nil, fmt.Errorf("jpeg: %d×%d pixels with %d values: want sides of 1 to 65535", width, height, len(pix))
	}
	if o.Quality < 1 || o.Quality > 100 {
		return nil, fmt.Errorf("jpeg: quality %d; it is 1 to 100", o.Quality)
	}
	if len(o.Exif) > MaxExif {
		return nil, fmt.Errorf("jpeg: %d bytes of Exif; at most %d fit", len(o.Exif), MaxExif)
	}
	factor := 2
	if o.Subsampling == Subsampling444 {
		factor = 1
	}
	f := &frame{width: width, height: height, hMax: factor, vMax: factor}
	f.mcusX, f.mcusY = ceilDiv(width, 8*factor), ceilDiv(height, 8*factor)
	f.components = make([]component, 3)
	for i := range f.components {
		c := &f.components[i]
		c.h, c.v = 1, 1
		if i == 0 {
			c.h, c.v = factor, factor
		}
		c.width, c.height = ceilDiv(width*c.h, factor), ceilDiv(height*c.v, factor)
		c.stride, c.rows = f.mcusX*c.h*8, f.mcusY*c.v*8
		c.quant = scaledTable(min(i, 1), o.Quality)
	}
	f.planes(pix)
	e := encoder{out: make([]byte, 0, len(pix)/8+len(o.Exif)+1024)}
	e.headers(f, o.Exif)
	e.scan(f)
	return append(e.out, 0xFF, markerEOI), nil
}

type encoder struct {
	out []byte
	acc uint64 // the last n bits that are not in out yet
	n   int
}

func (e *encoder) segment(marker byte, parts ...[]byte) {
	length := 2
	for _, part := range parts {
		length += len(part)
	}
	e.out = append(e.out, 0xFF, marker)
	e.out = binary.BigEndian.AppendUint16(e.out, uint16(length))
	for _, part := range parts {
		e.out = append(e.out, part...)
	}
}

// headers writes the segments in libjpeg's order.
func (e *encoder) headers(f *frame, exif []byte) {
	e.out = append(e.out, 0xFF, markerSOI)
	e.segment(markerAPP0, []byte("JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")) // version 1.1, square pixels
	if exif != nil {
		e.segment(markerAPP1, []byte("Exif\x00\x00"), exif)
	}
	for i, c := range f.components[:2] {
		table := [65]byte{0: byte(i)}
		for k, at := range zigzag {
			table[1+k] = byte(c.quant[at])
		}
		e.segment(markerDQT, table[:])
	}
	header := []byte{8}
	header = binary.BigEndian.AppendUint16(header, uint16(f.height))
	header = binary.BigEndian.AppendUint16(header, uint16(f.width))
	header = append(header, 3)
	for i, c := range f.components {
		header = append(header, byte(i+1), byte(c.h<<4|c.v), byte(min(i, 1)))
	}
	e.segment(markerSOF0, header)
	for i, t := range annexK {
		e.segment(markerDHT, []byte{byte(i&1<<4 | i>>1)}, []byte(t.counts), []byte(t.symbols))
	}
	e.segment(markerSOS, []byte{3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0})
}

func (e *encoder) scan(f *frame) {
	var codes [4]codeTable
	for i, t := range annexK {
		codes[i] = newCodeTable(t.counts, t.symbols)
	}
	var previous [3]int32
	for y := range f.mcusY {
		for x := range f.mcusX {
			for i := range f.components {
				c := &f.components[i]
				tables := codes[2*min(i, 1):]
				for v := range c.v {
					for h := range c.h {
						var block [64]int32
						bx, by := x*c.h+h, y*c.v+v
						// Blocks that only fill up a unit repeat the DC before them, as libjpeg's jccoefct.c has it.
						if bx < ceilDiv(c.width, 8) && by < ceilDiv(c.height, 8) {
							c.quantised(&block, bx, by)
						} else {
							block[0] = previous[i]
						}
						e.block(&block, block[0]-previous[i], &tables[0], &tables[1])
						previous[i] = block[0]
					}
				}
			}
		}
	}
	free := -e.n & 7
	e.bits(1<<free-1, free) // ones fill the last byte
	e.flush()
}

// quantised transforms the block at column x and row y.
func (c *component) quantised(block *[64]int32, x, y int) {
	for row := range 8 {
		for column, v := range c.plane[(y*8+row)*c.stride+x*8:][:8] {
			block[8*row+column] = int32(v) - 128
		}
	}
	forward(block)
	for i, v := range block {
		q := c.quant[i] << 3
		if v < 0 {
			block[i] = -((-v + q>>1) / q)
		} else {
			block[i] = (v + q>>1) / q
		}
	}
}

// block writes one block (T.81, F.1.2).
func (e *encoder) block(block *[64]int32, difference int32, dc, ac *codeTable) {
	e.value(dc, 0, difference)
	run := 0
	for _, at := range zigzag[1:] {
		v := block[at]
		if v == 0 {
			run++
			continue
		}
		for ; run > 15; run -= 16 {
			e.bits(ac.code[0xF0], ac.length[0xF0])
		}
		e.value(ac, run, v)
		run = 0
	}
	if run > 0 {
		e.bits(ac.code[0], ac.length[0])
	}
}

// value writes the symbol of a run and a value's size, then the value.
func (e *encoder) value(t *codeTable, run int, v int32) {
	size, magnitude := 0, max(v, -v)
	for ; magnitude > 0; magnitude >>= 1 {
		size++
	}
	symbol := run<<4 | size
	e.bits(t.code[symbol], t.length[symbol])
	if v < 0 {
		v += 1<<size - 1
	}
	e.bits(uint32(v), size)
}

func (e *encoder) bits(value uint32, size int) {
	e.acc = e.acc<<size | uint64(value)
	e.n += size
	if e.n >= 32 {
		e.flush()
	}
}

// flush moves whole bytes to the output, a zero after each 0xFF.
func (e *encoder) flush() {
	for e.n >= 8 {
		e.n -= 8
		b := byte(e.acc >> e.n)
		e.out = append(e.out, b)
		if b == 0xFF {
			e.out = append(e.out, 0)
		}
	}
}
