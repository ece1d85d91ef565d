package tiff

import "encoding/binary"

// unpack makes samples of 8 bits of a row as the file has it: of more bits the 8 highest remain, fewer are spread to 0
// … 255. Indices of a palette stay what they are.
func (p *Page) unpack(samples []uint8, row []byte) {
	switch p.bits {
	case 8:
		copy(samples, row)
	case 16:
		high := 0
		if p.order.Uint16([]byte{1, 0}) == 1 { // little-endian
			high = 1
		}
		for i := range samples {
			samples[i] = row[2*i+high]
		}
	default:
		acc, n, mask := uint32(0), 0, uint32(1)<<p.bits-1
		top := mask
		for i := range samples {
			for n < p.bits {
				acc, n = acc<<8|uint32(row[0]), n+8
				row = row[1:]
			}
			n -= p.bits
			v := acc >> n & mask
			switch {
			case p.Photometric == paletteColours:
			case p.bits > 8:
				v >>= p.bits - 8
			default:
				v = (v*255 + top/2) / top
			}
			samples[i] = uint8(v)
		}
	}
}

// undoPredictor turns differences to the left pixel into samples of 8 or 16 bits (TIFF 6.0, section 14).
func undoPredictor(row []byte, samples, bits int, order binary.ByteOrder) {
	if bits == 8 {
		for i := samples; i < len(row); i++ {
			row[i] += row[i-samples]
		}
		return
	}
	for i := 2 * samples; i+1 < len(row); i += 2 {
		order.PutUint16(row[i:], order.Uint16(row[i:])+order.Uint16(row[i-2*samples:]))
	}
}
