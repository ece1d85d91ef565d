package jpeg

// fraction is how many bits of fraction the coefficients of forward have.
const fraction = constBits + passBits

// quantiser quantises blocks by one table.
type quantiser struct {
	table [64]uint8 // in the file's order
	// bias is added to a pair of coefficients, to round them and to make those that become 0 numbers from 2³⁰ on, less
	// than 2³⁰ + span.
	bias, span block
	places     [64]place // of the coefficients in the file's order
	// zeros has, for a column and which of its rows have a bit (bit 7 for row 0), the bits of their places in the file.
	zeros *[8][256]uint64
}

// place is where a coefficient is in a block, and how it is quantised.
type place struct {
	at               uint8  // 8 · pair of columns + row
	shift            uint8  // 32 in the upper half
	bias             uint32 // less what rounds
	half, reciprocal uint32 // (magnitude + half) · reciprocal / 2³² is the value
}

func newQuantiser(table [64]int32, zeros *[8][256]uint64) *quantiser {
	q := &quantiser{zeros: zeros}
	for k, at := range zigzag {
		row, column := at/8, at%8
		divisor := uint32(table[at]) << 3
		half := divisor / 2
		p := &q.places[k]
		*p = place{at: column/2*8 + row, shift: column % 2 * 32, half: half, bias: (half-1)<<fraction + 1<<30}
		p.reciprocal = uint32((1<<32 + uint64(divisor) - 1) / uint64(divisor))
		q.table[k] = uint8(table[at])
		q.bias[column/2][row] += uint64(p.bias+1<<(fraction-1)) << p.shift
		q.span[column/2][row] += uint64((2*half-1)<<fraction) << p.shift
	}
	return q
}

func zeroPlaces() *[8][256]uint64 {
	var zeros [8][256]uint64
	for k, at := range zigzag {
		for rows := range 256 {
			if rows>>(7-at/8)&1 != 0 {
				zeros[at%8][rows] |= 1 << k
			}
		}
	}
	return &zeros
}

// value is the quantised coefficient at place k of a block that has its bias.
func (q *quantiser) value(b *block, k int) int32 {
	p := &q.places[k&63]
	v := int32(uint32(b[p.at>>3&3][p.at&7]>>(p.shift&32))-p.bias) >> fraction
	sign := v >> 31
	magnitude := uint64(uint32(v^sign-sign) + p.half)
	return int32(magnitude*uint64(p.reciprocal)>>32) ^ sign - sign
}
