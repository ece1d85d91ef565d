package jpeg

// forward is the DCT of a block of samples minus 128, as libjpeg's jfdctint.c does it: coefficients × 8, in rows.
func forward(block *[64]int32) {
	for y := range 8 {
		p := block[8*y : 8*y+8 : 8*y+8]
		e, o := forwardParts(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7])
		p[0] = (e[0] + e[1]) << passBits
		p[4] = (e[0] - e[1]) << passBits
		const shift = constBits - passBits
		p[2], p[6] = descale(e[2], shift), descale(e[3], shift)
		p[7], p[5], p[3], p[1] = descale(o[0], shift), descale(o[1], shift), descale(o[2], shift), descale(o[3], shift)
	}
	for x := range 8 {
		p := block[x : x+57 : x+57]
		e, o := forwardParts(p[0], p[8], p[16], p[24], p[32], p[40], p[48], p[56])
		p[0] = descale(e[0]+e[1], passBits)
		p[32] = descale(e[0]-e[1], passBits)
		const shift = constBits + passBits
		p[16], p[48] = descale(e[2], shift), descale(e[3], shift)
		p[56], p[40], p[24], p[8] = descale(o[0], shift), descale(o[1], shift), descale(o[2], shift), descale(o[3], shift)
	}
}

// forwardParts transforms 8 values: even holds the two terms of outputs 0 and 4, then outputs 2 and 6 × 2¹³; odd holds
// outputs 7, 5, 3, 1 × 2¹³.
func forwardParts(i0, i1, i2, i3, i4, i5, i6, i7 int32) (even, odd [4]int32) {
	s0, s1, s2, s3 := i0+i7, i1+i6, i2+i5, i3+i4
	d4, d5, d6, d7 := i3-i4, i2-i5, i1-i6, i0-i7
	t10, t13, t11, t12 := s0+s3, s0-s3, s1+s2, s1-s2
	z1 := (t12 + t13) * fix0_541196100
	even = [4]int32{t10, t11, z1 + t13*fix0_765366865, z1 - t12*fix1_847759065}

	z1, z2, z3, z4 := d4+d7, d5+d6, d4+d6, d5+d7
	z5 := (z3 + z4) * fix1_175875602
	z1 *= -fix0_899976223
	z2 *= -fix2_562915447
	z3 = z5 - z3*fix1_961570560
	z4 = z5 - z4*fix0_390180644
	odd = [4]int32{
		d4*fix0_298631336 + z1 + z3,
		d5*fix2_053119869 + z2 + z4,
		d6*fix3_072711026 + z2 + z3,
		d7*fix1_501321110 + z1 + z4,
	}
	return even, odd
}

func descale(v int32, shift uint) int32 { return (v + 1<<(shift-1)) >> shift }
