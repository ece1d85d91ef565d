package imagefile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
)

// pngRows decodes a PNG file that is not interlaced, some rows at a time, as the standard library decodes the whole:
// RGB [n,width,3] on white, and how many of the pixels are not opaque.
func pngRows(file io.ReaderAt, size int64, emit func(pix []uint8, transparent int) error) error {
	chunks, err := pngChunks(file, size)
	if err != nil {
		return err
	}
	p, err := newPNGRows(file, chunks)
	if err != nil {
		return err
	}
	// Deflate makes at most 1032 bytes of one: the header of a small file can't ask for much memory.
	switch {
	case int64(p.rowBytes)+1 > 1032*size/int64(p.height):
		return errors.New("png: the file is cut off")
	case p.width > maxRowPixels:
		return fmt.Errorf("png: rows of %d pixels are too long; up to %d are read", p.width, maxRowPixels)
	}
	in, err := zlib.NewReader(bufio.NewReaderSize(&chunkReader{file: file, chunks: p.pixels}, 64<<10))
	if err != nil {
		return pngDamage(err)
	}
	row, above := make([]uint8, 1+p.rowBytes), make([]uint8, 1+p.rowBytes)
	const bandBytes = 4 << 20
	band := make([]uint8, 0, 3*p.width*max(1, bandBytes/(3*p.width)))
	transparent := 0
	for y := range p.height {
		if _, err := io.ReadFull(in, row); err != nil {
			return pngDamage(err)
		}
		if err := unfilter(row[0], row[1:], above[1:], p.pixelBytes); err != nil {
			return err
		}
		at := len(band)
		band = band[:at+3*p.width]
		transparent += p.convert(band[at:], row[1:])
		row, above = above, row
		if len(band) == cap(band) || y == p.height-1 {
			if err := emit(band, transparent); err != nil {
				return err
			}
			band, transparent = band[:0], 0
		}
	}
	return pngEnd(in)
}

// maxRowPixels limits the memory of rows.
const maxRowPixels = 1 << 24

// pngEnd reads to the end of the compressed data, where their checksum is.
func pngEnd(in io.Reader) error {
	switch n, err := io.Copy(io.Discard, io.LimitReader(in, 1)); {
	case err != nil:
		return pngDamage(err)
	case n > 0:
		return errors.New("png: the file has more pixels than its header says")
	}
	return nil
}

func pngDamage(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("PNG: the file is cut off")
	}
	return fmt.Errorf("png: the pixels are damaged: %w", err)
}

// chunkReader reads the data of chunks one after another.
type chunkReader struct {
	file   io.ReaderAt
	chunks []pngChunk
}

func (r *chunkReader) Read(b []byte) (int, error) {
	for len(r.chunks) > 0 && r.chunks[0].size == 0 {
		r.chunks = r.chunks[1:]
	}
	if len(r.chunks) == 0 {
		return 0, io.EOF
	}
	c := &r.chunks[0]
	n, err := r.file.ReadAt(b[:min(int64(len(b)), c.size)], c.at)
	c.at, c.size = c.at+int64(n), c.size-int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// The kinds of colours, as in the header.
const (
	pngGrey      = 0
	pngRGB       = 2
	pngPalette   = 3
	pngGreyAlpha = 4
	pngRGBA      = 6
)

// pngRowReader converts rows.
type pngRowReader struct {
	width, height  int
	kind           uint8
	bits, channels int
	rowBytes       int
	pixelBytes     int // what filters look back
	pixels         []pngChunk
	palette        [256][4]uint8 // RGB and alpha; black where an index has no colour
	hasClear       bool
	clear          [3]uint16 // the colour that is transparent
}

// newPNGRows reads what rows depend on.
func newPNGRows(file io.ReaderAt, chunks []pngChunk) (*pngRowReader, error) {
	p := &pngRowReader{}
	found := map[string][]byte{}
	for _, c := range chunks {
		switch c.kind {
		case "IDAT":
			p.pixels = append(p.pixels, c)
		case "IHDR", "PLTE", "tRNS":
			data, intact, err := c.read(file)
			if err == nil && !intact {
				err = fmt.Errorf("png: the chunk %s is damaged", c.kind)
			}
			if err != nil {
				return nil, err
			}
			found[c.kind] = data
		}
	}
	header := found["IHDR"]
	p.width, p.height = int(binary.BigEndian.Uint32(header)), int(binary.BigEndian.Uint32(header[4:]))
	p.bits, p.kind = int(header[8]), header[9]
	p.channels = map[uint8]int{pngGrey: 1, pngRGB: 3, pngPalette: 1, pngGreyAlpha: 2, pngRGBA: 4}[p.kind]
	small := p.kind == pngGrey || p.kind == pngPalette
	switch {
	case p.channels == 0, header[10] != 0, header[11] != 0,
		p.bits != 8 && (p.bits != 16 || p.kind == pngPalette) && (p.bits != 1 && p.bits != 2 && p.bits != 4 || !small):
		return nil, fmt.Errorf("png: colours of the kind %d with %d bits are not of the standard", p.kind, p.bits)
	}
	p.rowBytes = (p.width*p.channels*p.bits + 7) / 8
	p.pixelBytes = max(1, p.channels*p.bits/8)
	alpha := found["tRNS"]
	for i := range p.palette {
		p.palette[i][3] = 255
	}
	colours := found["PLTE"]
	if p.kind == pngPalette && len(colours) < 3 {
		return nil, errors.New("png: the palette is missing")
	}
	for i := range min(len(colours)/3, 256, 1<<min(p.bits, 8)) {
		copy(p.palette[i][:3], colours[3*i:])
		if i < len(alpha) {
			p.palette[i][3] = alpha[i]
		}
	}
	if n := 2 * p.channels; len(alpha) >= n && (p.kind == pngGrey || p.kind == pngRGB) {
		p.hasClear = true
		for i := range p.channels {
			p.clear[i] = binary.BigEndian.Uint16(alpha[2*i:]) & (1<<p.bits - 1)
		}
	}
	return p, nil
}

// unfilter undoes the filter of a row (PNG, third edition, 9.2).
func unfilter(filter uint8, row, above []uint8, n int) error {
	switch filter {
	case 0:
	case 1:
		for i := n; i < len(row); i++ {
			row[i] += row[i-n]
		}
	case 2:
		for i, v := range above {
			row[i] += v
		}
	case 3:
		for i := range row {
			left := 0
			if i >= n {
				left = int(row[i-n])
			}
			row[i] += uint8((left + int(above[i])) / 2)
		}
	case 4:
		for i := range row {
			var left, corner int
			if i >= n {
				left, corner = int(row[i-n]), int(above[i-n])
			}
			row[i] += pngNeighbour(left, int(above[i]), corner)
		}
	default:
		return fmt.Errorf("png: a row has the filter %d; there are 0 to 4: the file is damaged", filter)
	}
	return nil
}

// pngNeighbour is the neighbour that is nearest to left + above − corner.
func pngNeighbour(left, above, corner int) uint8 {
	distance := func(a, b int) int { return max(a-b, b-a) }
	toLeft, toAbove, toCorner := distance(above, corner), distance(left, corner), distance(left+above, 2*corner)
	switch {
	case toLeft <= toAbove && toLeft <= toCorner:
		return uint8(left)
	case toAbove <= toCorner:
		return uint8(above)
	}
	return uint8(corner)
}

// convert makes RGB on white of a row and counts the pixels that are not opaque.
func (p *pngRowReader) convert(out, row []uint8) (transparent int) {
	if p.kind == pngRGB && p.bits == 8 && !p.hasClear {
		copy(out, row)
		return 0
	}
	for x := range p.width {
		var c [4]uint16 // the pixel's samples
		for k := range p.channels {
			c[k] = p.sample(row, x*p.channels+k)
		}
		full := uint16(1<<p.bits - 1)
		rgb, alpha := [3]uint16{c[0], c[1], c[2]}, full
		switch p.kind {
		case pngPalette:
			colour := p.palette[c[0]]
			rgb, alpha, full = [3]uint16{uint16(colour[0]), uint16(colour[1]), uint16(colour[2])}, uint16(colour[3]), 255
		case pngGrey, pngGreyAlpha:
			rgb = [3]uint16{c[0], c[0], c[0]}
		}
		switch {
		case p.kind == pngGreyAlpha:
			alpha = c[1]
		case p.kind == pngRGBA:
			alpha = c[3]
		case p.hasClear && [3]uint16(c[:3]) == p.clear:
			alpha = 0
		}
		if alpha != full {
			transparent++
		}
		for k, v := range rgb {
			out[3*x+k] = pngLevel(v, alpha, full)
		}
	}
	return transparent
}

// sample is sample i of a row.
func (p *pngRowReader) sample(row []uint8, i int) uint16 {
	switch p.bits {
	case 8:
		return uint16(row[i])
	case 16:
		return binary.BigEndian.Uint16(row[2*i:])
	}
	perByte := 8 / p.bits
	shift := 8 - p.bits*(i%perByte+1)
	return uint16(row[i/perByte]>>shift) & (1<<p.bits - 1)
}

// pngLevel is the level of a sample on white; full is the largest value of samples.
func pngLevel(v, alpha, full uint16) uint8 {
	switch full {
	case 65535:
		a := uint64(alpha)
		return uint8(uint32((uint64(v)*a+65535*(65535-a)+32767)/65535) >> 8)
	case 255:
		return composite(uint8(v), uint8(alpha), 255, false)
	case alpha:
		return uint8(v * (255 / full))
	}
	return 255
}
