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
	zeros      *zeroTables
	vector     bool // the processor has the instructions of forwardVectors
}

// place is where a coefficient is in a block, and how it is quantised.
type place struct {
	at               uint8  // 4 · row + pair of columns
	shift            uint8  // 32 in the upper half
	bias             uint32 // less what rounds
	half, reciprocal uint32 // (magnitude + half) · reciprocal / 2³² is the value
}

func newQuantiser(table [64]int32, zeros *zeroTables) *quantiser {
	q := &quantiser{zeros: zeros, vector: hasVectors()}
	for k, at := range zigzag {
		row, column := at/8, at%8
		divisor := uint32(table[at]) << 3
		half := divisor / 2
		p := &q.places[k]
		*p = place{at: row*4 + column/2, shift: column % 2 * 32, half: half, bias: (half-1)<<fraction + 1<<30}
		p.reciprocal = uint32((1<<32 + uint64(divisor) - 1) / uint64(divisor))
		q.table[k] = uint8(table[at])
		q.bias[row][column/2] += uint64(p.bias+1<<(fraction-1)) << p.shift
		q.span[row][column/2] += uint64((2*half-1)<<fraction) << p.shift
	}
	return q
}

// zeroTables turn bits of a block into bits of the file's order: for a column and which of its rows have a bit, row 0
// the highest, and for a row and which of its columns have one, column 0 the lowest.
type zeroTables struct{ columns, rows [8][256]uint64 }

func newZeroTables() *zeroTables {
	t := &zeroTables{}
	for k, at := range zigzag {
		row, column := at/8, at%8
		for set := range 256 {
			t.columns[column][set] |= uint64(set>>(7-row)&1) << k
			t.rows[row][set] |= uint64(set>>column&1) << k
		}
	}
	return t
}

// transform is forward, with vector instructions where the processor has them.
func (q *quantiser) transform(b *block, samples []uint64, stride int) (nonzero uint64) {
	if !q.vector {
		return q.forward(b, samples, stride)
	}
	found := q.forwardVectors(b, samples, stride)
	var zeros uint64
	for row := range q.zeros.rows {
		zeros |= q.zeros.rows[row][found&255]
		found >>= 8
	}
	return ^zeros
}

// value is the quantised coefficient at place k of a block that has its bias.
func (q *quantiser) value(b *block, k int) int32 {
	p := &q.places[k&63]
	v := int32(uint32(b[p.at>>2&7][p.at&3]>>(p.shift&32))-p.bias) >> fraction
	sign := v >> 31
	magnitude := uint64(uint32(v^sign-sign) + p.half)
	return int32(magnitude*uint64(p.reciprocal)>>32) ^ sign - sign
}
