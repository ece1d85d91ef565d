package jpeg

// The encoder works on pairs: two numbers below 2³¹ in size in the halves of a word, low + high·2³². Sums and products
// with constants of pairs are pairs, whatever the signs; once both numbers are at least 0, which adding a bias ensures,
// the halves are theirs. It takes two thirds of the time of one number a word.

// both is the pair of a number with itself.
const both = 1<<32 | 1

// A block's pairs are those of columns 0 and 1, 2 and 3, 4 and 5, 6 and 7, row by row.
type block [8][4]uint64

// rowBias is added to all numbers between the two passes, to keep them positive. The second pass cancels it in all
// coefficients but those of row 0.
const rowBias = 1 << (30 - (constBits - passBits))

// forward is the DCT of libjpeg's jfdctint.c of 8×8 samples less 128. The samples are pairs of one row and the next,
// which begin at samples and have stride pairs a row. The results are in b, coefficients × 8 with 15 bits of fraction
// and their bias; see quantiser. Returned is which of them will not be 0, bit k for place k in the file: most are 0,
// and looking at each in the file's order would mean a mispredicted branch for each that is not.
func (q *quantiser) forward(b *block, samples []uint64, stride int) (nonzero uint64) {
	const shift, half = constBits - passBits, both * (1<<(constBits-passBits-1) + 1<<30)
	const mask = both * (1<<(31-shift) - 1)
	for j := range 4 {
		in := samples[j*stride:]
		in = in[:8:8]
		s0, d7 := in[0]+in[7], in[0]-in[7]
		s1, d6 := in[1]+in[6], in[1]-in[6]
		s2, d5 := in[2]+in[5], in[2]-in[5]
		s3, d4 := in[3]+in[4], in[3]-in[4]
		t0, t3 := s0+s3, s0-s3
		t1, t2 := s1+s2, s1-s2
		z1 := (t2+t3)*fix0_541196100 + half
		z3, z4 := d4+d6, d5+d7
		z5 := (z3+z4)*fix1_175875602 + half
		z3 = z5 - z3*fix1_961570560
		z4 = z5 - z4*fix0_390180644

		o0, o4 := (t0+t1)<<passBits+both*rowBias, (t0-t1)<<passBits+both*rowBias
		o2 := (z1 + t3*fix0_765366865) >> shift & mask
		o6 := (z1 - t2*fix1_847759065) >> shift & mask
		z1 = (d4 + d7) * fix0_899976223
		o1 := (d7*fix1_501321110 - z1 + z4) >> shift & mask
		o7 := (d4*fix0_298631336 - z1 + z3) >> shift & mask
		z1 = (d5 + d6) * fix2_562915447
		o3 := (d6*fix3_072711026 - z1 + z3) >> shift & mask
		o5 := (d5*fix2_053119869 - z1 + z4) >> shift & mask

		b[2*j][0], b[2*j+1][0] = o0&low|o1<<32, o0>>32|o1&^low
		b[2*j][1], b[2*j+1][1] = o2&low|o3<<32, o2>>32|o3&^low
		b[2*j][2], b[2*j+1][2] = o4&low|o5<<32, o4>>32|o5&^low
		b[2*j][3], b[2*j+1][3] = o6&low|o7<<32, o6>>32|o7&^low
	}
	dcBias := uint64(both*8*rowBias + 8*8*128<<passBits) // and the samples' 128, which only the first coefficient has
	var zeros uint64
	for c := range 4 {
		bias, span := &q.bias, &q.span
		s0, d7 := b[0][c]+b[7][c], b[0][c]-b[7][c]
		s1, d6 := b[1][c]+b[6][c], b[1][c]-b[6][c]
		s2, d5 := b[2][c]+b[5][c], b[2][c]-b[5][c]
		s3, d4 := b[3][c]+b[4][c], b[3][c]-b[4][c]
		t0, t3 := s0+s3, s0-s3
		t1, t2 := s1+s2, s1-s2
		o0 := (t0+t1-dcBias)<<constBits + bias[0][c]
		o4 := (t0-t1)<<constBits + bias[4][c]
		dcBias = both * 8 * rowBias
		z1 := (t2 + t3) * fix0_541196100
		o2 := z1 + t3*fix0_765366865 + bias[2][c]
		o6 := z1 - t2*fix1_847759065 + bias[6][c]
		b[0][c], b[4][c], b[2][c], b[6][c] = o0, o4, o2, o6
		found := zero(o0, span[0][c]) | zero(o4, span[4][c])>>4 | zero(o2, span[2][c])>>2 | zero(o6, span[6][c])>>6
		z3, z4 := d4+d6, d5+d7
		z5 := (z3 + z4) * fix1_175875602
		z3 = z5 - z3*fix1_961570560
		z4 = z5 - z4*fix0_390180644
		z1 = (d4 + d7) * fix0_899976223
		o1 := d7*fix1_501321110 - z1 + z4 + bias[1][c]
		o7 := d4*fix0_298631336 - z1 + z3 + bias[7][c]
		z1 = (d5 + d6) * fix2_562915447
		o3 := d6*fix3_072711026 - z1 + z3 + bias[3][c]
		o5 := d5*fix2_053119869 - z1 + z4 + bias[5][c]
		b[1][c], b[7][c], b[3][c], b[5][c] = o1, o7, o3, o5
		found |= zero(o1, span[1][c])>>1 | zero(o7, span[7][c])>>7 | zero(o3, span[3][c])>>3 | zero(o5, span[5][c])>>5
		zeros |= q.zeros.columns[2*c][found>>23&255] | q.zeros.columns[2*c+1][found>>55&255]
	}
	return ^zeros
}

// zero has bit 30 of a half where its coefficient, with its bias, becomes 0.
func zero(biased, span uint64) uint64 { return biased &^ (biased - span) & (both << 30) }

const low = 1<<32 - 1 // the lower half
