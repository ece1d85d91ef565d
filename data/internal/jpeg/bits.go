package jpeg

import (
	"encoding/binary"
	"errors"
)

var errCode = errors.New("jpeg: a bit pattern is not a Huffman code")

// bitReader reads the entropy-coded bytes of a scan. At a marker or the end of the data it continues with zeros and
// counts them, so that the decoding loops need not check every bit; overrun reports whether any were used.
type bitReader struct {
	data []byte
	pos  int
	acc  uint64 // the next count bits, left-aligned
	n    int
	pad  int // how many of the last bits were made up
}

// fill makes at least 48 bits available.
func (b *bitReader) fill() {
	if b.n >= 48 {
		return
	}
	if len(b.data)-b.pos >= 8 {
		word := binary.BigEndian.Uint64(b.data[b.pos:])
		// A word without a 0xFF byte has nothing to unstuff: take as many whole bytes as fit.
		if inv := ^word; (inv-0x0101010101010101)&^inv&0x8080808080808080 == 0 {
			take := (64 - b.n) >> 3
			b.acc |= word >> (64 - 8*take) << (64 - 8*take - b.n)
			b.n += 8 * take
			b.pos += take
			return
		}
	}
	for b.n <= 56 {
		var next uint64
		switch {
		case b.pos >= len(b.data):
			b.pad += 8
		case b.data[b.pos] != 0xFF:
			next = uint64(b.data[b.pos])
			b.pos++
		case b.pos+1 < len(b.data) && b.data[b.pos+1] == 0:
			next = 0xFF
			b.pos += 2
		default: // a marker: stay in front of it
			b.pad += 8
		}
		b.acc |= next << (56 - b.n)
		b.n += 8
	}
}

// overrun reports whether more bits were taken than the data have.
func (b *bitReader) overrun() bool { return b.n < b.pad }

// bits takes size bits, at most 16; the caller has filled.
func (b *bitReader) bits(size int) int32 {
	value := int32(b.acc >> 1 >> (63 - size))
	b.acc <<= size
	b.n -= size
	return value
}

// symbol decodes one symbol; the caller has filled.
func (b *bitReader) symbol(h *huffman) (uint8, error) {
	if entry := h.look[b.acc>>(64-lookBits)]; entry != 0 {
		length := int(entry >> 8)
		b.acc <<= length
		b.n -= length
		return uint8(entry), nil
	}
	return b.longSymbol(h)
}

func (b *bitReader) longSymbol(h *huffman) (uint8, error) {
	top := int32(b.acc >> 48)
	length := lookBits + 1
	for top >= h.limit[length] {
		length++
	}
	if length > 16 {
		return 0, errCode
	}
	place := top>>(16-length) + h.offset[length]
	b.acc <<= length
	b.n -= length
	return h.symbol[place&255], nil
}

// restart drops the remaining bits and skips the restart marker of this number (0 to 7).
func (b *bitReader) restart(number int) error {
	if b.overrun() {
		return ErrTruncated
	}
	// Whole bytes may have been read ahead, but none beyond a marker: the marker is at pos or after it.
	b.acc, b.n, b.pad = 0, 0, 0
	for b.pos+1 < len(b.data) {
		if b.data[b.pos] == 0xFF && b.data[b.pos+1] != 0 && b.data[b.pos+1] != 0xFF {
			if b.data[b.pos+1] != byte(markerRST0+number) {
				return errors.New("jpeg: a restart marker is missing or out of order")
			}
			b.pos += 2
			return nil
		}
		b.pos++
	}
	return ErrTruncated
}
