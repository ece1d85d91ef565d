package jpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The markers that matter here (T.81, table B.1).
const (
	markerSOF0  = 0xC0 // baseline
	markerSOF1  = 0xC1 // extended sequential
	markerSOF2  = 0xC2 // progressive
	markerDHT   = 0xC4
	markerJPG   = 0xC8
	markerDAC   = 0xCC
	markerRST0  = 0xD0
	markerRST7  = 0xD7
	markerSOI   = 0xD8
	markerEOI   = 0xD9
	markerSOS   = 0xDA
	markerDQT   = 0xDB
	markerDNL   = 0xDC
	markerDRI   = 0xDD
	markerAPP0  = 0xE0
	markerAPP1  = 0xE1
	markerAPP2  = 0xE2
	markerAPP14 = 0xEE
	markerTEM   = 0x01
)

// ErrTruncated says that the data end before the image does.
var ErrTruncated = errors.New("jpeg: the data end too early")

// Header is what a file says before its first scan.
type Header struct {
	Width, Height int
	Components    int    // 1: grey, 3: colour, 4: CMYK
	Exif          []byte // the TIFF structure after "Exif\0\0"; nil without one
	ICC           []byte // the colour profile, put together from its segments; nil without one

	Rows bool // the file can be decoded by DecodeRows: one scan has all of it

	// Incomplete is set by Decode for a progressive file whose scans leave out bits of coefficients. libjpeg smooths the
	// blocks of such a file; this package does not.
	Incomplete bool
}

// ReadHeader reads the segments before the first scan. data may be the beginning of a file; if it ends before the scan,
// the error is ErrTruncated.
func ReadHeader(data []byte) (Header, error) {
	d := decoder{data: data}
	if err := d.segments(false); err != nil {
		return Header{}, err
	}
	return d.header, nil
}

// segments reads segments from d.pos to a scan, and its header if the frame is to be decoded, or to the end of the
// image, which sets d.ended.
func (d *decoder) segments(decode bool) error {
	if d.pos == 0 {
		if len(d.data) < 2 {
			return ErrTruncated
		}
		if d.data[0] != 0xFF || d.data[1] != markerSOI {
			return errors.New("jpeg: no JPEG signature")
		}
		d.pos = 2
	}
	for {
		marker, err := d.marker()
		if err != nil {
			return err
		}
		switch {
		case marker == markerEOI:
			d.ended = true
			if d.frame == nil && !d.tablesOnly {
				return errors.New("jpeg: the file has no image")
			}
			return nil
		case marker == markerTEM || marker >= markerRST0 && marker <= markerRST7:
			continue // markers without a segment
		case marker == markerSOI:
			return errors.New("jpeg: a second image begins inside the first")
		}
		if len(d.data)-d.pos < 2 {
			return ErrTruncated
		}
		length := int(binary.BigEndian.Uint16(d.data[d.pos:]))
		if length < 2 {
			return fmt.Errorf("jpeg: marker %#x has a segment of %d bytes; the least is 2", marker, length)
		}
		if len(d.data)-d.pos < length {
			return ErrTruncated
		}
		segment := d.data[d.pos+2 : d.pos+length]
		d.pos += length
		switch {
		case marker == markerSOS:
			if d.frame == nil {
				return errors.New("jpeg: a scan comes before the frame header")
			}
			if d.header.ICC == nil {
				d.header.ICC = joinICC(d.iccChunks)
			}
			d.header.Rows = !d.frame.progressive && len(segment) > 0 && int(segment[0]) == len(d.frame.components)
			if decode {
				return d.scanHeader(segment)
			}
			return nil
		case marker == markerDHT:
			err = d.huffmanTables(segment)
		case marker == markerDQT:
			err = d.quantTables(segment)
		case marker == markerDRI:
			if len(segment) != 2 {
				err = fmt.Errorf("jpeg: restart interval of %d bytes; it has 2", len(segment))
			} else {
				d.restartInterval = int(binary.BigEndian.Uint16(segment))
			}
		case marker == markerSOF0 || marker == markerSOF1 || marker == markerSOF2:
			err = d.frameHeader(marker, segment)
		case marker >= 0xC0 && marker <= 0xCF && marker != markerJPG && marker != markerDAC:
			err = fmt.Errorf("jpeg: %s is not supported; baseline and progressive Huffman coding are", codingName(marker))
		case marker == markerDNL:
			err = errors.New("jpeg: a height given after the image (DNL) is not supported")
		case marker == markerAPP0:
			d.jfif = d.jfif || bytes.HasPrefix(segment, []byte("JFIF\x00"))
		case marker == markerAPP1:
			if d.header.Exif == nil && bytes.HasPrefix(segment, []byte("Exif\x00")) && len(segment) >= 6 {
				d.header.Exif = segment[6:]
			}
		case marker == markerAPP2:
			if bytes.HasPrefix(segment, []byte("ICC_PROFILE\x00")) && len(segment) >= 14 {
				d.iccChunks = append(d.iccChunks, segment[12:])
			}
		case marker == markerAPP14:
			if bytes.HasPrefix(segment, []byte("Adobe")) && len(segment) >= 12 {
				d.adobe, d.adobeTransform = true, segment[11]
			}
		}
		if err != nil {
			return err
		}
	}
}

// marker finds the next marker, as libjpeg does: bytes in front of it are skipped.
func (d *decoder) marker() (byte, error) {
	for {
		i := bytes.IndexByte(d.data[d.pos:], 0xFF)
		if i < 0 {
			return 0, ErrTruncated
		}
		d.pos += i
		for d.pos < len(d.data) && d.data[d.pos] == 0xFF {
			d.pos++
		}
		if d.pos == len(d.data) {
			return 0, ErrTruncated
		}
		marker := d.data[d.pos]
		d.pos++
		if marker != 0 {
			return marker, nil
		}
	}
}

// joinICC puts a profile together from segments that begin with their number (from 1) and the count of all.
func joinICC(chunks [][]byte) []byte {
	if len(chunks) == 0 {
		return nil
	}
	var profile []byte
	for number := 1; number <= len(chunks); number++ {
		for _, chunk := range chunks {
			if int(chunk[0]) == number {
				profile = append(profile, chunk[2:]...)
				break
			}
		}
	}
	return profile
}

func codingName(marker byte) string {
	switch marker {
	case 0xC3, 0xC7, 0xCB, 0xCF:
		return "lossless coding"
	case 0xC5, 0xC6:
		return "hierarchical coding"
	}
	return "arithmetic coding"
}

// frameHeader reads SOF0, SOF1 or SOF2 (T.81, B.2.2).
func (d *decoder) frameHeader(marker byte, b []byte) error {
	if d.frame != nil {
		return errors.New("jpeg: the file has two frame headers")
	}
	if len(b) < 6 || len(b) != 6+3*int(b[5]) {
		return errors.New("jpeg: the frame header has a wrong length")
	}
	if b[0] != 8 {
		return fmt.Errorf("jpeg: %d bits a sample are not supported; 8 are", b[0])
	}
	f := &frame{
		height: int(binary.BigEndian.Uint16(b[1:])), width: int(binary.BigEndian.Uint16(b[3:])),
		progressive: marker == markerSOF2, hMax: 1, vMax: 1,
	}
	n := int(b[5])
	if f.width == 0 || f.height == 0 {
		return fmt.Errorf("jpeg: an image of %d×%d has no pixels", f.width, f.height)
	}
	if n != 1 && n != 3 && n != 4 {
		return fmt.Errorf("jpeg: %d components are not supported; 1, 3 and 4 are", n)
	}
	f.components = make([]component, n)
	for i := range f.components {
		c := &f.components[i]
		c.id, c.h, c.v, c.quantIndex = b[6+3*i], int(b[7+3*i]>>4), int(b[7+3*i]&15), b[8+3*i]
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 {
			return fmt.Errorf("jpeg: sampling factors %d×%d; they are 1 to 4", c.h, c.v)
		}
		if c.quantIndex > 3 {
			return fmt.Errorf("jpeg: quantisation table %d; there are 0 to 3", c.quantIndex)
		}
		f.hMax, f.vMax = max(f.hMax, c.h), max(f.vMax, c.v)
	}
	f.mcusX, f.mcusY = ceilDiv(f.width, 8*f.hMax), ceilDiv(f.height, 8*f.vMax)
	for i := range f.components {
		c := &f.components[i]
		if f.hMax%c.h != 0 || f.vMax%c.v != 0 {
			return fmt.Errorf("jpeg: component %d has %d×%d of %d×%d samples; fractions are not supported",
				i, c.h, c.v, f.hMax, f.vMax)
		}
		c.width, c.height = ceilDiv(f.width*c.h, f.hMax), ceilDiv(f.height*c.v, f.vMax)
		c.stride, c.rows = f.mcusX*c.h*8, f.mcusY*c.v*8
		for k := range c.precision {
			c.precision[k] = -1
		}
	}
	d.frame = f
	d.header.Width, d.header.Height, d.header.Components = f.width, f.height, n
	return nil
}

// quantTables reads DQT (T.81, B.2.4.1).
func (d *decoder) quantTables(b []byte) error {
	for len(b) > 0 {
		precision, index := b[0]>>4, b[0]&15
		b = b[1:]
		size := 64 * (int(precision) + 1)
		if precision > 1 || index > 3 || len(b) < size {
			return errors.New("jpeg: a quantisation table is damaged")
		}
		q := &d.quant[index]
		for i := range 64 {
			if precision == 0 {
				q[zigzag[i]] = int32(b[i])
			} else {
				q[zigzag[i]] = int32(binary.BigEndian.Uint16(b[2*i:]))
			}
		}
		d.quantSet[index] = true
		b = b[size:]
	}
	return nil
}

// scanHeader reads SOS (T.81, B.2.3).
func (d *decoder) scanHeader(b []byte) error {
	f := d.frame
	if len(b) < 1 || len(b) != 4+2*int(b[0]) || b[0] < 1 || int(b[0]) > len(f.components) {
		return errors.New("jpeg: a scan header has a wrong length")
	}
	n := int(b[0])
	d.scan = scan{}
	blocks := 0
	for i := range n {
		id, tables := b[1+2*i], b[2+2*i]
		at := slices.IndexFunc(f.components, func(c component) bool { return c.id == id })
		if at < 0 {
			return fmt.Errorf("jpeg: a scan has component %d, which the frame lacks", id)
		}
		c := &f.components[at]
		if slices.ContainsFunc(d.scan.components, func(other scanComponent) bool { return other.component == c }) {
			return fmt.Errorf("jpeg: a scan has component %d twice", id)
		}
		if tables>>4 > 3 || tables&15 > 3 {
			return errors.New("jpeg: a scan names a Huffman table beyond 3")
		}
		if !c.quantSet { // as libjpeg: the table in force at the component's first scan counts
			if !d.quantSet[c.quantIndex] {
				return fmt.Errorf("jpeg: quantisation table %d is missing", c.quantIndex)
			}
			c.quant, c.quantSet = d.quant[c.quantIndex], true
		}
		d.scan.components = append(d.scan.components, scanComponent{component: c, dc: &d.dc[tables>>4], ac: &d.ac[tables&15]})
		blocks += c.h * c.v
	}
	if n > 1 && blocks > 10 {
		return fmt.Errorf("jpeg: %d blocks in one unit; 10 are allowed", blocks)
	}
	s := &d.scan
	s.first, s.last = int(b[1+2*n]), int(b[2+2*n])
	s.high, s.low = int(b[3+2*n]>>4), int(b[3+2*n]&15)
	if !f.progressive {
		s.first, s.last, s.high, s.low = 0, 63, 0, 0 // as libjpeg, which ignores what else is there
		return s.checkTables(true, true)
	}
	switch {
	case s.first > s.last || s.last > 63, s.first == 0 && s.last != 0, s.first > 0 && n > 1,
		s.high != 0 && s.low != s.high-1, s.low > 13:
		return fmt.Errorf("jpeg: a progressive scan of coefficients %d to %d, bits %d to %d, is impossible",
			s.first, s.last, s.high, s.low)
	}
	for _, c := range s.components {
		for k := s.first; k <= s.last; k++ {
			if had := int(c.precision[k]); s.high == 0 && had >= 0 || s.high != 0 && had != s.high {
				return fmt.Errorf("jpeg: a progressive scan gives bits of coefficient %d that are out of order", k)
			}
			c.precision[k] = int8(s.low)
		}
	}
	return s.checkTables(s.first == 0 && s.high == 0, s.first > 0)
}

func (s *scan) checkTables(dc, ac bool) error {
	for _, c := range s.components {
		if dc && !c.dc.defined || ac && !c.ac.defined {
			return errors.New("jpeg: a scan names a Huffman table that the file has not defined")
		}
	}
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
