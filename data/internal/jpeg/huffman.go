package jpeg

import "errors"

// zigzag gives the place in a block, row by row, of the i-th coefficient of a file.
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// lookBits is how many bits the first table of a Huffman code covers: with 10, it has nearly every AC code together
// with the value that follows it.
const lookBits = 10

// huffman is a table for decoding (T.81, annexes C and F.2.2.3).
type huffman struct {
	defined bool

	// look, by the next lookBits bits: the symbol and, << 8, the length of its code; 0 where the code is longer.
	look [1 << lookBits]uint16

	// whole, for AC codes, by the next lookBits bits: a code and its value at once: value << 8 | run << 4 | bits of both.
	// 0 where they don't fit, and for symbols without a value.
	whole [1 << lookBits]int32

	limit  [18]int32 // the first code beyond those of n bits, << (16 - n); limit[17] is beyond all
	offset [17]int32 // add to a code of n bits to get its place in symbols
	symbol [256]uint8
}

// huffmanTables reads DHT (T.81, B.2.4.2).
func (d *decoder) huffmanTables(b []byte) error {
	for len(b) > 0 {
		n := 0
		for _, count := range b[1:min(17, len(b))] {
			n += int(count)
		}
		class, index := b[0]>>4, b[0]&15
		if class > 1 || index > 3 || n > 256 || len(b) < 17+n {
			return errors.New("jpeg: a Huffman table is damaged")
		}
		h := &d.dc[index]
		if class == 1 {
			h = &d.ac[index]
		}
		if err := h.build(b[1:17], b[17:17+n], class == 1); err != nil {
			return err
		}
		b = b[17+n:]
	}
	return nil
}

func (h *huffman) build(counts, symbols []byte, ac bool) error {
	*h = huffman{defined: true}
	copy(h.symbol[:], symbols)
	code, k := int32(0), 0
	for n := 1; n <= 16; n++ {
		h.offset[n] = int32(k) - code
		for range counts[n-1] {
			if code >= 1<<n {
				return errors.New("jpeg: a Huffman table has more codes than there are")
			}
			if !ac && symbols[k] > 15 {
				return errors.New("jpeg: a Huffman table of DC coefficients has a value of more than 15 bits")
			}
			if n <= lookBits {
				first := code << (lookBits - n)
				for i := range int32(1) << (lookBits - n) {
					h.look[first+i] = uint16(n)<<8 | uint16(symbols[k])
				}
			}
			code++
			k++
		}
		h.limit[n] = code << (16 - n)
		code <<= 1
	}
	h.limit[17] = 1 << 16
	if !ac {
		return nil
	}
	for bits, entry := range h.look {
		length, run, size := int(entry>>8), int32(entry>>4&15), int(entry&15)
		if length == 0 || size == 0 || length+size > lookBits {
			continue
		}
		value := int32(bits) >> (lookBits - length - size) & (1<<size - 1)
		h.whole[bits] = extend(value, size)<<8 | run<<4 | int32(length+size)
	}
	return nil
}

// extend turns the bits of a value of this size into the value (T.81, F.2.2.1).
func extend(bits int32, size int) int32 {
	if bits < 1<<(size-1) {
		return bits - 1<<size + 1
	}
	return bits
}
