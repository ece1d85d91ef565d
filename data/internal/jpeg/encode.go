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
	e, err := NewEncoder(o.Quality, o.Subsampling)
	if err != nil {
		return nil, err
	}
	if err := checkSize(pix, width, height); err != nil {
		return nil, err
	}
	if len(o.Exif) > MaxExif {
		return nil, fmt.Errorf("jpeg: %d bytes of Exif; at most %d fit", len(o.Exif), MaxExif)
	}
	out := append(make([]byte, 0, len(pix)/8+len(o.Exif)+1024), 0xFF, markerSOI)
	const jfif = "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" // version 1.1, square pixels
	out = appendMarker(out, markerAPP0, []byte(jfif))
	if o.Exif != nil {
		out = appendMarker(out, markerAPP1, []byte("Exif\x00\x00"), o.Exif)
	}
	out = e.appendQuant(out)
	out = e.appendFrame(out, width, height)
	out = appendCodes(out)
	return e.appendScan(out, pix, width, height), nil
}

// Encoder writes images of one quality whose tables are shared, as the tiles of a TIFF file share them. It may be used
// by several goroutines at once.
type Encoder struct {
	factor int // pixels that share a chroma sample, in x and y
	tables [2]*blockTables
}

// NewEncoder returns an encoder of a quality from 1 to 100.
func NewEncoder(quality int, subsampling Subsampling) (*Encoder, error) {
	if quality < 1 || quality > 100 {
		return nil, fmt.Errorf("jpeg: quality %d; it is 1 to 100", quality)
	}
	e := &Encoder{factor: 2}
	if subsampling == Subsampling444 {
		e.factor = 1
	}
	zeros := newZeroTables()
	for i := range e.tables {
		e.tables[i] = newBlockTables(i, quality, zeros)
	}
	return e, nil
}

// Tables returns the quantisation and Huffman tables as an abbreviated format (T.81, B.5), which ReadTables reads.
func (e *Encoder) Tables() []byte {
	return append(appendCodes(e.appendQuant([]byte{0xFF, markerSOI})), 0xFF, markerEOI)
}

// AppendSegment appends RGB [H,W,3] as an image that needs Tables, and which DecodeSegment reads.
func (e *Encoder) AppendSegment(out []byte, pix []uint8, width, height int) ([]byte, error) {
	if err := checkSize(pix, width, height); err != nil {
		return nil, err
	}
	return e.appendScan(e.appendFrame(append(out, 0xFF, markerSOI), width, height), pix, width, height), nil
}

func checkSize(pix []uint8, width, height int) error {
	if width < 1 || width > 65535 || height < 1 || height > 65535 || len(pix) != 3*width*height {
		return fmt.Errorf("jpeg: %d×%d pixels with %d values: want sides of 1 to 65535", width, height, len(pix))
	}
	return nil
}

func appendMarker(out []byte, marker byte, parts ...[]byte) []byte {
	length := 2
	for _, part := range parts {
		length += len(part)
	}
	out = binary.BigEndian.AppendUint16(append(out, 0xFF, marker), uint16(length))
	for _, part := range parts {
		out = append(out, part...)
	}
	return out
}

func (e *Encoder) appendQuant(out []byte) []byte {
	for i, t := range e.tables {
		out = appendMarker(out, markerDQT, []byte{byte(i)}, t.table[:])
	}
	return out
}

func (e *Encoder) appendFrame(out []byte, width, height int) []byte {
	header := binary.BigEndian.AppendUint16([]byte{8}, uint16(height))
	header = binary.BigEndian.AppendUint16(header, uint16(width))
	header = append(header, 3, 1, byte(e.factor<<4|e.factor), 0, 2, 0x11, 1, 3, 0x11, 1)
	return appendMarker(out, markerSOF0, header)
}

func appendCodes(out []byte) []byte {
	for i, t := range annexK {
		out = appendMarker(out, markerDHT, []byte{byte(i&1<<4 | i>>1)}, []byte(t.counts), []byte(t.symbols))
	}
	return out
}

// appendScan appends the scan and the end of the image.
func (e *Encoder) appendScan(out, pix []uint8, width, height int) []byte {
	out = appendMarker(out, markerSOS, []byte{3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0})
	p := &patch{factor: e.factor, vector: hasVectors()}
	chroma := [2][]uint64{p.full[1][:], p.full[2][:]}
	if e.factor == 2 {
		chroma = [2][]uint64{p.chroma[0][:], p.chroma[1][:]}
	}
	var w bitWriter
	var dc [3]int32
	side := 8 * e.factor // of a unit
	for y0 := 0; y0 < height; y0 += side {
		for x0 := 0; x0 < width; x0 += patchWidth {
			p.load(pix, width, height, x0, y0)
			for x := 0; x < min(patchWidth, width-x0); x += side {
				for dy := 0; dy < side; dy += 8 {
					for dx := 0; dx < side; dx += 8 {
						// Blocks that only fill up a unit repeat the DC before them, as libjpeg's jccoefct.c has it.
						if x0+x+dx >= width || y0+dy >= height {
							w.empty(e.tables[0])
							continue
						}
						dc[0] = w.block(p.full[0][dy/2*patchWidth+x+dx:], e.tables[0], dc[0])
					}
				}
				for i, samples := range chroma {
					dc[1+i] = w.block(samples[x/e.factor:], e.tables[1], dc[1+i])
				}
			}
		}
	}
	return append(w.finish(out), 0xFF, markerEOI)
}
