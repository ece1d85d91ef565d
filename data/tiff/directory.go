package tiff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// maxTagBytes limits what Bytes reads of one tag; the longest that matters is a colour profile.
const maxTagBytes = 16 << 20

// maxEntries limits the tags of one directory: a classic TIFF file can't have more.
const maxEntries = math.MaxUint16

// source is a file and how its numbers are stored.
type source struct {
	file  io.ReaderAt
	size  int64
	order binary.ByteOrder
	big   bool // BigTIFF: offsets and counts of 64 bits
}

// Directory is an image file directory: the tags of an image, or of the Exif data of a file of another format.
type Directory struct {
	source
	entries map[Tag]entry
	bytes   int64 // its own length in the file
	next    int64 // offset of the next directory, 0 for the last
}

type entry struct {
	kind   kind
	count  uint64
	inline [8]byte // the value if it fits (4 bytes, BigTIFF 8), else its offset
}

// OpenDirectory reads the first directory of a TIFF structure, such as the Exif data of a JPEG file.
func OpenDirectory(file io.ReaderAt, size int64) (*Directory, error) {
	s, first, err := readHeader(file, size)
	if err != nil {
		return nil, err
	}
	return s.directory(first)
}

// readHeader returns the offset of the first directory.
func readHeader(file io.ReaderAt, size int64) (s source, first int64, err error) {
	var head [16]byte
	n, _ := file.ReadAt(head[:min(size, 16)], 0)
	if n < 8 {
		return s, 0, errors.New("tiff: the file is cut off in its header")
	}
	s = source{file: file, size: size, order: binary.LittleEndian}
	switch string(head[:2]) {
	case "II":
	case "MM":
		s.order = binary.BigEndian
	default:
		return s, 0, errors.New("tiff: the header is damaged")
	}
	switch s.order.Uint16(head[2:]) {
	case 42:
		return s, int64(s.order.Uint32(head[4:])), nil
	case 43:
		s.big = true
		if s.order.Uint16(head[4:]) != 8 || s.order.Uint16(head[6:]) != 0 {
			return s, 0, errors.New("tiff: the header is damaged")
		}
		if n < 16 {
			return s, 0, errors.New("tiff: the file is cut off in its header")
		}
		return s, s.offset(head[8:]), nil
	}
	return s, 0, errors.New("tiff: the header is damaged")
}

// offset reads an offset; one beyond int64 is beyond any file.
func (s *source) offset(b []byte) int64 {
	if !s.big {
		return int64(s.order.Uint32(b))
	}
	return int64(min(s.order.Uint64(b), math.MaxInt64))
}

// within reports whether the file has so many bytes from offset on.
func (s *source) within(offset, length int64) bool {
	return offset >= 0 && length >= 0 && offset <= s.size && length <= s.size-offset
}

func (s *source) directory(offset int64) (*Directory, error) {
	countSize, entrySize, valueSize := int64(2), int64(12), int64(4)
	if s.big {
		countSize, entrySize, valueSize = 8, 20, 8
	}
	if offset < 8 || !s.within(offset, countSize) {
		return nil, fmt.Errorf("tiff: a directory should be at byte %d of %d; the file is cut off or damaged",
			offset, s.size)
	}
	var head [8]byte
	if _, err := s.file.ReadAt(head[:countSize], offset); err != nil {
		return nil, err
	}
	count := uint64(s.order.Uint16(head[:]))
	if s.big {
		count = s.order.Uint64(head[:])
	}
	if count == 0 || count > maxEntries {
		return nil, fmt.Errorf("tiff: the directory at byte %d has %d tags; the file is damaged", offset, count)
	}
	length := int64(count) * entrySize
	if !s.within(offset+countSize, length) {
		return nil, fmt.Errorf("tiff: the directory at byte %d is cut off", offset)
	}
	raw := make([]byte, length+valueSize)
	// Some writers leave out the offset of the next directory at the end of a file: it stays 0.
	if n, err := s.file.ReadAt(raw, offset+countSize); int64(n) < length {
		return nil, err
	} else if int64(n) < length+valueSize {
		clear(raw[length:])
	}
	d := &Directory{
		source: *s, entries: make(map[Tag]entry, count), bytes: countSize + length, next: s.offset(raw[length:]),
	}
	for ; len(raw) >= int(entrySize); raw = raw[entrySize:] {
		id := Tag(s.order.Uint16(raw))
		if _, twice := d.entries[id]; twice {
			continue // the first counts, as for libtiff
		}
		e := entry{kind: kind(s.order.Uint16(raw[2:]))}
		if s.big {
			e.count = s.order.Uint64(raw[4:])
			copy(e.inline[:], raw[12:20])
		} else {
			e.count = uint64(s.order.Uint32(raw[4:]))
			copy(e.inline[:], raw[8:12])
		}
		d.entries[id] = e
	}
	return d, nil
}

// Has reports whether the directory has a tag.
func (d *Directory) Has(id Tag) bool {
	_, ok := d.entries[id]
	return ok
}

// Sub reads the directory that a tag points to; nil without the tag.
func (d *Directory) Sub(id Tag) (*Directory, error) {
	offset, ok := d.Number(id)
	if !ok {
		return nil, nil
	}
	return d.directory(int64(min(offset, math.MaxInt64)))
}

// Bytes returns the bytes of a tag, at most 16 MB; nil without the tag.
func (d *Directory) Bytes(id Tag) ([]byte, error) {
	e, ok := d.entries[id]
	if !ok {
		return nil, nil
	}
	if each := e.kind.size(); each > 0 && e.count > uint64(maxTagBytes/each) {
		return nil, fmt.Errorf("tiff: tag %d has %d values of %d bytes; at most %d bytes are read",
			id, e.count, each, maxTagBytes)
	}
	return d.values(id, e, e.count)
}

// values returns the bytes of the first so many values of a tag.
func (d *Directory) values(id Tag, e entry, most uint64) ([]byte, error) {
	each := e.kind.size()
	if each == 0 {
		return nil, fmt.Errorf("tiff: tag %d has the unknown type %d", id, e.kind)
	}
	beyond := fmt.Errorf("tiff: tag %d lies beyond the end of the file", id)
	if e.count > uint64(math.MaxInt64/each) {
		return nil, beyond
	}
	all, size := each*int64(e.count), each*int64(min(e.count, most))
	if all <= 4 || d.big && all <= 8 {
		return e.inline[:size], nil
	}
	offset := d.offset(e.inline[:])
	if !d.within(offset, size) { // before memory is taken for it
		return nil, beyond
	}
	value := make([]byte, size)
	if _, err := d.file.ReadAt(value, offset); err != nil {
		return nil, fmt.Errorf("tiff: tag %d: %w", id, err)
	}
	return value, nil
}

// whole decodes a whole number; false for other types and negative numbers.
func (s *source) whole(k kind, b []byte) (uint64, bool) {
	switch k {
	case kindByte, kindUndefined:
		return uint64(b[0]), true
	case kindShort:
		return uint64(s.order.Uint16(b)), true
	case kindLong, kindIFD:
		return uint64(s.order.Uint32(b)), true
	case kindLong8, kindIFD8:
		return s.order.Uint64(b), true
	case kindSByte:
		return uint64(b[0]), int8(b[0]) >= 0
	case kindSShort:
		v := s.order.Uint16(b)
		return uint64(v), int16(v) >= 0
	case kindSLong:
		v := s.order.Uint32(b)
		return uint64(v), int32(v) >= 0
	case kindSLong8:
		v := s.order.Uint64(b)
		return v, int64(v) >= 0
	}
	return 0, false
}

// Number returns a tag's first whole number, of any integer type; false if there is none.
func (d *Directory) Number(id Tag) (uint64, bool) {
	values, err := d.Numbers(id, 1)
	if err != nil || len(values) == 0 {
		return 0, false
	}
	return values[0], true
}

// number is Number with a default.
func (d *Directory) number(id Tag, otherwise uint64) uint64 {
	if v, ok := d.Number(id); ok {
		return v
	}
	return otherwise
}

// Numbers returns up to limit whole numbers of a tag; nil without the tag.
func (d *Directory) Numbers(id Tag, limit int) ([]uint64, error) {
	e, ok := d.entries[id]
	if !ok {
		return nil, nil
	}
	raw, err := d.values(id, e, uint64(limit))
	if err != nil {
		return nil, err
	}
	each := int(e.kind.size())
	values := make([]uint64, len(raw)/each)
	for i := range values {
		if values[i], ok = d.whole(e.kind, raw[i*each:]); !ok {
			return nil, fmt.Errorf("tiff: tag %d has a value that is not a whole number ≥ 0", id)
		}
	}
	return values, nil
}

// reals returns up to limit rational, floating-point or whole numbers of a tag; nil if they can't be read.
func (d *Directory) reals(id Tag, limit int) []float64 {
	raw, err := d.Bytes(id)
	if err != nil || len(raw) == 0 {
		return nil
	}
	k := d.entries[id].kind
	each := int(k.size())
	values := make([]float64, min(len(raw)/each, limit))
	for i := range values {
		b := raw[i*each:]
		switch k {
		case kindRational:
			values[i] = float64(d.order.Uint32(b)) / float64(d.order.Uint32(b[4:]))
		case kindSRational:
			values[i] = float64(int32(d.order.Uint32(b))) / float64(int32(d.order.Uint32(b[4:])))
		case kindFloat:
			values[i] = float64(math.Float32frombits(d.order.Uint32(b)))
		case kindDouble:
			values[i] = math.Float64frombits(d.order.Uint64(b))
		default:
			v, ok := d.whole(k, b)
			if !ok {
				return nil
			}
			values[i] = float64(v)
		}
		if math.IsNaN(values[i]) || math.IsInf(values[i], 0) {
			return nil
		}
	}
	return values
}

// Text returns a tag of characters up to its zero; "" without the tag.
func (d *Directory) Text(id Tag) (string, error) {
	b, err := d.Bytes(id)
	text, _, _ := strings.Cut(string(b), "\x00")
	return text, err
}

// Orientation returns the Exif orientation, 1 to 8; 1, upright, if it is absent or invalid.
func (d *Directory) Orientation() int {
	if v, ok := d.Number(tagOrientation); ok && v >= 1 && v <= 8 {
		return int(v)
	}
	return 1
}
