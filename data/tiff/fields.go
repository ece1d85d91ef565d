package tiff

import (
	"encoding/binary"
	"math"
	"slices"
)

// Field is a tag to be written.
type Field struct {
	id    Tag
	kind  kind
	count uint32
	value []byte // little-endian
	at    int64  // where a BigTIFF file already has the value, if not 0
}

// ASCII is a tag of characters.
func ASCII(id Tag, text string) Field {
	return Field{id: id, kind: kindASCII, count: uint32(len(text) + 1), value: append([]byte(text), 0)}
}

// Undefined is a tag of bytes.
func Undefined(id Tag, value []byte) Field {
	return Field{id: id, kind: kindUndefined, count: uint32(len(value)), value: value}
}

// Short is a tag of 16-bit numbers.
func Short(id Tag, values ...uint16) Field {
	f := Field{id: id, kind: kindShort, count: uint32(len(values))}
	for _, v := range values {
		f.value = binary.LittleEndian.AppendUint16(f.value, v)
	}
	return f
}

// Long is a tag of 32-bit numbers.
func Long(id Tag, values ...uint32) Field {
	f := Field{id: id, kind: kindLong, count: uint32(len(values))}
	for _, v := range values {
		f.value = binary.LittleEndian.AppendUint32(f.value, v)
	}
	return f
}

// rationals is a tag of numbers ≥ 0, each to about 9 digits.
func rationals(id Tag, values ...float64) Field {
	f := Field{id: id, kind: kindRational, count: uint32(len(values))}
	for _, v := range values {
		denominator := 1.0
		for v != math.Trunc(v) && denominator < 1e9 && 10*denominator*v < math.MaxUint32 {
			denominator *= 10
		}
		f.value = binary.LittleEndian.AppendUint32(f.value, uint32(math.Round(min(v*denominator, math.MaxUint32))))
		f.value = binary.LittleEndian.AppendUint32(f.value, uint32(denominator))
	}
	return f
}

// offsets is a tag of 64-bit offsets, of the type kindLong8 or kindIFD8.
func offsets(id Tag, k kind, values []int64) Field {
	f := Field{id: id, kind: k, count: uint32(len(values))}
	for _, v := range values {
		f.value = binary.LittleEndian.AppendUint64(f.value, uint64(v))
	}
	return f
}

// littleEndian is the header of a file whose first directory follows it.
const littleEndian = "II*\x00\x08\x00\x00\x00"

// AppendExif lays out a TIFF structure of tags and, unless it is empty, of an Exif directory.
func AppendExif(out []byte, fields, exif []Field) []byte {
	const start = len(littleEndian)
	out = append(out, littleEndian...)
	if len(exif) == 0 {
		return append(out, directory(start, fields)...)
	}
	fields = append(slices.Clip(fields), Long(TagExifIFD, 0))
	end := start + len(directory(start, fields))
	fields[len(fields)-1] = Long(TagExifIFD, uint32(end))
	return append(append(out, directory(start, fields)...), directory(end, exif)...)
}

// directory lays out a directory that begins at offset, followed by its longer values.
func directory(offset int, fields []Field) []byte {
	fields = sorted(fields)
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(fields)))
	var long []byte
	end := offset + 2 + 12*len(fields) + 4
	for _, f := range fields {
		out = binary.LittleEndian.AppendUint16(out, uint16(f.id))
		out = binary.LittleEndian.AppendUint16(out, uint16(f.kind))
		out = binary.LittleEndian.AppendUint32(out, f.count)
		if len(f.value) <= 4 {
			out = append(out, append(slices.Clip(f.value), 0, 0, 0, 0)[:4]...)
			continue
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(end+len(long)))
		long = append(long, f.value...)
		if len(long)%2 == 1 {
			long = append(long, 0)
		}
	}
	return append(binary.LittleEndian.AppendUint32(out, 0), long...)
}

func sorted(fields []Field) []Field {
	return slices.SortedFunc(slices.Values(fields), func(a, b Field) int { return int(a.id) - int(b.id) })
}

// bigDirectory lays out a directory of a BigTIFF file that begins at offset, followed by its longer values. next is
// the offset of the directory after it; 0 for none, and −1 for right after this one.
func bigDirectory(offset int64, fields []Field, next int64) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(fields)))
	var long []byte
	end := offset + 8 + 20*int64(len(fields)) + 8
	for _, f := range sorted(fields) {
		out = binary.LittleEndian.AppendUint16(out, uint16(f.id))
		out = binary.LittleEndian.AppendUint16(out, uint16(f.kind))
		out = binary.LittleEndian.AppendUint64(out, uint64(f.count))
		switch {
		case f.at != 0:
			out = binary.LittleEndian.AppendUint64(out, uint64(f.at))
		case len(f.value) <= 8:
			out = append(out, append(slices.Clip(f.value), make([]byte, 8)...)[:8]...)
		default:
			out = binary.LittleEndian.AppendUint64(out, uint64(end+int64(len(long))))
			long = append(long, f.value...)
			long = append(long, make([]byte, -len(long)&7)...)
		}
	}
	if next < 0 {
		next = end + int64(len(long))
	}
	return append(binary.LittleEndian.AppendUint64(out, uint64(next)), long...)
}
