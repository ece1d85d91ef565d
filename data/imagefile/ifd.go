package imagefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Tags of TIFF 6.0 and Exif 2.3 that are read or written.
const (
	tagImageWidth       = 256
	tagImageLength      = 257
	tagBitsPerSample    = 258
	tagCompression      = 259
	tagPhotometric      = 262
	tagImageDescription = 270
	tagStripOffsets     = 273
	tagOrientation      = 274
	tagSamplesPerPixel  = 277
	tagRowsPerStrip     = 278
	tagStripByteCounts  = 279
	tagSoftware         = 305
	tagPredictor        = 317
	tagExifIFD          = 34665
	tagICCProfile       = 34675
	tagUserComment      = 37510
)

// Types of values.
const (
	typeASCII     = 2
	typeShort     = 3
	typeLong      = 4
	typeUndefined = 7
)

// maxTagBytes bounds what is read of one tag: the longest that matters is a colour profile.
const maxTagBytes = 16 << 20

// An ifd is an image file directory: the tags of a TIFF file, or of the Exif structure of another file.
type ifd struct {
	source io.ReaderAt
	order  binary.ByteOrder
	tags   map[uint16]tag
	next   uint32 // offset of the next directory, 0 for the last
}

type tag struct {
	kind   uint16
	count  uint32
	inline [4]byte // the value if it fits, else its offset
}

// readIFD reads the first directory of a TIFF structure.
func readIFD(source io.ReaderAt) (*ifd, error) {
	var head [8]byte
	if _, err := source.ReadAt(head[:], 0); err != nil {
		return nil, errors.New("the TIFF header is cut off")
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(head[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return nil, errors.New("the TIFF header is damaged")
	}
	return readDirectory(source, order, order.Uint32(head[4:]))
}

func readDirectory(source io.ReaderAt, order binary.ByteOrder, offset uint32) (*ifd, error) {
	var count [2]byte
	if _, err := source.ReadAt(count[:], int64(offset)); err != nil {
		return nil, errors.New("a TIFF directory lies beyond the end")
	}
	n := int(order.Uint16(count[:]))
	raw := make([]byte, 12*n+4)
	if got, _ := source.ReadAt(raw, int64(offset)+2); got < 12*n {
		return nil, errors.New("a TIFF directory is cut off")
	}
	d := &ifd{source: source, order: order, tags: make(map[uint16]tag, n), next: order.Uint32(raw[12*n:])}
	for i := range n {
		entry := raw[12*i:]
		d.tags[order.Uint16(entry)] = tag{kind: order.Uint16(entry[2:]), count: order.Uint32(entry[4:]), inline: [4]byte(entry[8:12])}
	}
	return d, nil
}

// sub reads the directory that a tag points to; nil without the tag.
func (d *ifd) sub(id uint16) (*ifd, error) {
	offset, ok := d.number(id)
	if !ok {
		return nil, nil
	}
	return readDirectory(d.source, d.order, offset)
}

// bytes returns the bytes of a tag; nil without it.
func (d *ifd) bytes(id uint16) ([]byte, error) {
	t, ok := d.tags[id]
	if !ok {
		return nil, nil
	}
	size, known := map[uint16]int64{1: 1, typeASCII: 1, typeShort: 2, typeLong: 4, 5: 8, 6: 1, typeUndefined: 1}[t.kind]
	size *= int64(t.count)
	switch {
	case !known:
		return nil, fmt.Errorf("tag %d has the unknown type %d", id, t.kind)
	case size <= 4:
		return t.inline[:size], nil
	case size > maxTagBytes:
		return nil, fmt.Errorf("tag %d has %d bytes; at most %d are read", id, size, maxTagBytes)
	}
	offset := int64(d.order.Uint32(t.inline[:]))
	if _, err := d.source.ReadAt(make([]byte, 1), offset+size-1); err != nil { // before memory is taken for it
		return nil, fmt.Errorf("tag %d lies beyond the end", id)
	}
	value := make([]byte, size)
	if _, err := d.source.ReadAt(value, offset); err != nil {
		return nil, fmt.Errorf("tag %d: %w", id, err)
	}
	return value, nil
}

// number returns a whole number, the first where the tag has several.
func (d *ifd) number(id uint16) (uint32, bool) {
	t, ok := d.tags[id]
	if !ok || t.count < 1 {
		return 0, false
	}
	if t.kind == typeShort && t.count <= 2 {
		return uint32(d.order.Uint16(t.inline[:])), true
	}
	return d.order.Uint32(t.inline[:]), t.kind == typeLong && t.count == 1
}

// text returns a tag of characters up to its zero.
func (d *ifd) text(id uint16) (string, error) {
	b, err := d.bytes(id)
	text, _, _ := strings.Cut(string(b), "\x00")
	return text, err
}

// orientation returns the Exif orientation, 1 (upright) where it is absent or none of 1 to 8.
func (d *ifd) orientation() int {
	if v, ok := d.number(tagOrientation); ok && v >= 1 && v <= 8 {
		return int(v)
	}
	return 1
}

// field is a tag to be written, its value in little-endian order.
type field struct {
	id, kind uint16
	count    uint32
	value    []byte
}

func asciiField(id uint16, text string) field {
	return field{id, typeASCII, uint32(len(text) + 1), append([]byte(text), 0)}
}

func shortField(id uint16, values ...uint16) field {
	f := field{id: id, kind: typeShort, count: uint32(len(values))}
	for _, v := range values {
		f.value = binary.LittleEndian.AppendUint16(f.value, v)
	}
	return f
}

func longField(id uint16, values ...uint32) field {
	f := field{id: id, kind: typeLong, count: uint32(len(values))}
	for _, v := range values {
		f.value = binary.LittleEndian.AppendUint32(f.value, v)
	}
	return f
}

// directory lays out a directory that begins at offset, its longer values behind it.
func directory(offset int, fields []field) []byte {
	fields = slices.SortedFunc(slices.Values(fields), func(a, b field) int { return int(a.id) - int(b.id) })
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(fields)))
	var long []byte
	behind := offset + 2 + 12*len(fields) + 4
	for _, f := range fields {
		out = binary.LittleEndian.AppendUint16(out, f.id)
		out = binary.LittleEndian.AppendUint16(out, f.kind)
		out = binary.LittleEndian.AppendUint32(out, f.count)
		if len(f.value) <= 4 {
			out = append(out, append(f.value, 0, 0, 0, 0)[:4]...)
			continue
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(behind+len(long)))
		long = append(long, f.value...)
		if len(long)%2 == 1 {
			long = append(long, 0)
		}
	}
	return append(binary.LittleEndian.AppendUint32(out, 0), long...)
}
