package jpeg

// forward is the DCT of 8 rows of 8 samples of plane, less 128, as libjpeg's jfdctint.c does it: coefficients × 8, row
// by row. Both passes are written out: as a function of 8 values each they take 1.5 times as long.
func forward(block *[64]int32, plane []uint8, stride int) {
	const shift1, half1 = constBits - passBits, 1 << (constBits - passBits - 1)
	for y := range 8 {
		in := plane[y*stride:]
		in = in[:8:8]
		p := block[8*y : 8*y+8 : 8*y+8]
		i0, i1, i2, i3 := int32(in[0]), int32(in[1]), int32(in[2]), int32(in[3])
		i4, i5, i6, i7 := int32(in[4]), int32(in[5]), int32(in[6]), int32(in[7])
		s0, d7 := i0+i7, i0-i7
		s1, d6 := i1+i6, i1-i6
		s2, d5 := i2+i5, i2-i5
		s3, d4 := i3+i4, i3-i4

		t0, t3 := s0+s3, s0-s3
		t1, t2 := s1+s2, s1-s2
		p[0] = (t0 + t1) << passBits
		p[4] = (t0 - t1) << passBits
		z1 := (t2+t3)*fix0_541196100 + half1
		p[2] = (z1 + t3*fix0_765366865) >> shift1
		p[6] = (z1 - t2*fix1_847759065) >> shift1

		z3, z4 := d4+d6, d5+d7
		z5 := (z3+z4)*fix1_175875602 + half1
		z3 = z5 - z3*fix1_961570560
		z4 = z5 - z4*fix0_390180644
		z1 = (d4 + d7) * fix0_899976223
		p[7] = (d4*fix0_298631336 - z1 + z3) >> shift1
		p[1] = (d7*fix1_501321110 - z1 + z4) >> shift1
		z1 = (d5 + d6) * fix2_562915447
		p[5] = (d5*fix2_053119869 - z1 + z4) >> shift1
		p[3] = (d6*fix3_072711026 - z1 + z3) >> shift1
	}
	const shift2, half2 = constBits + passBits, 1 << (constBits + passBits - 1)
	for x := range 8 {
		p := block[x : x+57 : x+57]
		i0, i1, i2, i3 := p[0], p[8], p[16], p[24]
		i4, i5, i6, i7 := p[32], p[40], p[48], p[56]
		s0, d7 := i0+i7, i0-i7
		s1, d6 := i1+i6, i1-i6
		s2, d5 := i2+i5, i2-i5
		s3, d4 := i3+i4, i3-i4

		t0, t3 := s0+s3, s0-s3
		t1, t2 := s1+s2, s1-s2
		p[0] = (t0 + t1 + 1<<(passBits-1)) >> passBits
		p[32] = (t0 - t1 + 1<<(passBits-1)) >> passBits
		z1 := (t2+t3)*fix0_541196100 + half2
		p[16] = (z1 + t3*fix0_765366865) >> shift2
		p[48] = (z1 - t2*fix1_847759065) >> shift2

		z3, z4 := d4+d6, d5+d7
		z5 := (z3+z4)*fix1_175875602 + half2
		z3 = z5 - z3*fix1_961570560
		z4 = z5 - z4*fix0_390180644
		z1 = (d4 + d7) * fix0_899976223
		p[56] = (d4*fix0_298631336 - z1 + z3) >> shift2
		p[8] = (d7*fix1_501321110 - z1 + z4) >> shift2
		z1 = (d5 + d6) * fix2_562915447
		p[40] = (d5*fix2_053119869 - z1 + z4) >> shift2
		p[24] = (d6*fix3_072711026 - z1 + z3) >> shift2
	}
	block[0] -= 64 * 128 // the only coefficient that knows of the 128
}
