package jpeg

import "encoding/binary"

// Constants of the accurate integer transform ("islow"; Loeffler, Ligtenberg and Moschytz 1989), × 2¹³.
const (
	constBits = 13
	passBits  = 2

	fix0_298631336 = 2446
	fix0_390180644 = 3196
	fix0_541196100 = 4433
	fix0_765366865 = 6270
	fix0_899976223 = 7373
	fix1_175875602 = 9633
	fix1_501321110 = 12299
	fix1_847759065 = 15137
	fix1_961570560 = 16069
	fix2_053119869 = 16819
	fix2_562915447 = 20995
	fix3_072711026 = 25172
)

// inverse writes the inverse DCT of a dequantised block, as in libjpeg's jidctint.c, to 8 rows of 8 samples of plane.
// last is the zigzag index of the last coefficient that may not be zero.
func inverse(block *[64]int32, last int, plane []uint8, stride int) {
	if last == 0 {
		value := uint64(sample((block[0]<<passBits + 1<<(passBits+2)) >> (passBits + 3)))
		value *= 0x0101010101010101
		for y := range 8 {
			binary.LittleEndian.PutUint64(plane[y*stride:], value)
		}
		return
	}
	// The first ten coefficients lie in the first four rows and columns; the other columns are empty.
	columns := 8
	if last < 10 {
		columns = 4
	}
	for x := range columns {
		p := block[x : x+57 : x+57]
		if p[8]|p[16]|p[24]|p[32]|p[40]|p[48]|p[56] == 0 {
			dc := p[0] << passBits
			p[0], p[8], p[16], p[24], p[32], p[40], p[48], p[56] = dc, dc, dc, dc, dc, dc, dc, dc
			continue
		}
		even0, even1, even2, even3, odd0, odd1, odd2, odd3 := butterflies(
			p[0], p[8], p[16], p[24], p[32], p[40], p[48], p[56])
		const shift, half = constBits - passBits, 1 << (constBits - passBits - 1)
		p[0] = (even0 + odd3 + half) >> shift
		p[56] = (even0 - odd3 + half) >> shift
		p[8] = (even1 + odd2 + half) >> shift
		p[48] = (even1 - odd2 + half) >> shift
		p[16] = (even2 + odd1 + half) >> shift
		p[40] = (even2 - odd1 + half) >> shift
		p[24] = (even3 + odd0 + half) >> shift
		p[32] = (even3 - odd0 + half) >> shift
	}
	for y := range 8 {
		p := block[8*y : 8*y+8 : 8*y+8]
		even0, even1, even2, even3, odd0, odd1, odd2, odd3 := butterflies(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7])
		const shift, half = constBits + passBits + 3, 1 << (constBits + passBits + 2)
		row := uint64(sample((even0+odd3+half)>>shift)) |
			uint64(sample((even1+odd2+half)>>shift))<<8 |
			uint64(sample((even2+odd1+half)>>shift))<<16 |
			uint64(sample((even3+odd0+half)>>shift))<<24 |
			uint64(sample((even3-odd0+half)>>shift))<<32 |
			uint64(sample((even2-odd1+half)>>shift))<<40 |
			uint64(sample((even1-odd2+half)>>shift))<<48 |
			uint64(sample((even0-odd3+half)>>shift))<<56
		binary.LittleEndian.PutUint64(plane[y*stride:], row)
	}
}

// butterflies is the inverse transform of 8 values before the last additions: outputs 0 … 3 are even + odd3 … odd0,
// outputs 7 … 4 are even − odd3 … odd0, all × 2¹³.
func butterflies(i0, i1, i2, i3, i4, i5, i6, i7 int32) (even0, even1, even2, even3, odd0, odd1, odd2, odd3 int32) {
	z1 := (i2 + i6) * fix0_541196100
	t2 := z1 - i6*fix1_847759065
	t3 := z1 + i2*fix0_765366865
	t0 := (i0 + i4) << constBits
	t1 := (i0 - i4) << constBits
	even0, even3, even1, even2 = t0+t3, t0-t3, t1+t2, t1-t2

	z1, z2, z3, z4 := i7+i1, i5+i3, i7+i3, i5+i1
	z5 := (z3 + z4) * fix1_175875602
	z1 *= -fix0_899976223
	z2 *= -fix2_562915447
	z3 = z5 - z3*fix1_961570560
	z4 = z5 - z4*fix0_390180644
	odd0 = i7*fix0_298631336 + z1 + z3
	odd1 = i5*fix2_053119869 + z2 + z4
	odd2 = i3*fix3_072711026 + z2 + z3
	odd3 = i1*fix1_501321110 + z1 + z4
	return even0, even1, even2, even3, odd0, odd1, odd2, odd3
}

// sample shifts a value of the transform to 0 … 255.
func sample(v int32) uint8 {
	v += 128
	if uint32(v) > 255 {
		v = ^v >> 31 // 0 below, all ones above
	}
	return uint8(v)
}
