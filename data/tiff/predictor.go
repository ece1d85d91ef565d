package tiff

import "encoding/binary"

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
