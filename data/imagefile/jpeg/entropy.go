package jpeg

import (
	"encoding/binary"
	"math/bits"
)

// blockTables quantise and code the blocks of luma or of chroma.
type blockTables struct {
	quant [64]uint8 // in the file's order, as the next two
	// A coefficient × 8 is quantised to 0 if, low added, it is below span as an unsigned number.
	zero [64]struct{ low, span uint32 }
	// Others become (magnitude + half) · reciprocal / 2³².
	divide [64]struct{ half, reciprocal uint32 }
	dc, ac codeTable
}

func newBlockTables(index, quality int) *blockTables {
	t := &blockTables{
		dc: newCodeTable(annexK[2*index].counts, annexK[2*index].symbols),
		ac: newCodeTable(annexK[2*index+1].counts, annexK[2*index+1].symbols),
	}
	table := scaledTable(index, quality)
	for k, at := range zigzag {
		t.quant[k] = uint8(table[at])
		divisor := uint32(table[at]) << 3
		half := divisor / 2
		t.zero[k].low, t.zero[k].span = half-1, 2*half-1
		t.divide[k].half, t.divide[k].reciprocal = half, uint32((1<<32+uint64(divisor)-1)/uint64(divisor))
	}
	return t
}

// codeTable has, by symbol, the code << 8 and its length.
type codeTable [256]uint32

func newCodeTable(counts, symbols string) (t codeTable) {
	code, k := uint32(0), 0
	for n := range 16 {
		for range counts[n] {
			t[symbols[k]] = code<<8 | uint32(n+1)
			code++
			k++
		}
		code <<= 1
	}
	return t
}

// bitWriter collects the entropy-coded bytes of a scan.
type bitWriter struct {
	out []byte
	acc uint64 // the last n bits that are not in out yet
	n   uint   // at most 31 between two calls of put
}

// maxBlock is the most bytes of a block: 64 values of 27 bits with their codes, a zero after each byte.
const maxBlock = 512

// block quantises and codes a block of coefficients × 8 (T.81, F.1.2) and returns its DC value; previous is that of the
// block before.
func (w *bitWriter) block(block *[64]int32, t *blockTables, previous int32) int32 {
	if cap(w.out)-len(w.out) < maxBlock {
		w.out = append(make([]byte, 0, 2*cap(w.out)+maxBlock), w.out...)
	}
	// First find the values that are not zero: most are, and jumping over them one by one would mean a mispredicted
	// branch for each that is not.
	var zeros uint64 // bit k−1 for place k
	for k := 63; k >= 1; k-- {
		z := &t.zero[k]
		zeros = zeros<<1 | (uint64(uint32(block[zigzag[k]&63])+z.low)-uint64(z.span))>>63
	}

	dc := quantise(block[0], t, 0)
	w.put(&t.dc, 0, dc-previous)
	at, end := 0, 63
	for rest := ^zeros << 1; rest != 0; {
		next := bits.TrailingZeros64(rest)
		rest &= rest - 1
		run := next - at - 1
		for ; run > 15; run -= 16 {
			w.code(t.ac[0xF0])
		}
		w.put(&t.ac, run, quantise(block[zigzag[next&63]&63], t, next&63))
		at = next
	}
	if at != end {
		w.code(t.ac[0])
	}
	return dc
}

// empty codes a block that is like the one before in its mean, and flat.
func (w *bitWriter) empty(t *blockTables) {
	w.code(t.dc[0])
	w.code(t.ac[0])
}

func quantise(v int32, t *blockTables, k int) int32 {
	d := &t.divide[k]
	sign := v >> 31
	magnitude := uint32(v^sign-sign) + d.half
	return int32(uint64(magnitude)*uint64(d.reciprocal)>>32) ^ sign - sign
}

// put codes the symbol of a run and a value's size, then the value.
func (w *bitWriter) put(t *codeTable, run int, v int32) {
	sign := v >> 31
	size := uint(bits.Len32(uint32(v ^ sign - sign)))
	entry := t[(uint(run)<<4|size)&255]
	value := uint64(uint32(v+sign)) & (1<<(size&31) - 1)
	w.bits(uint64(entry>>8)<<(size&31)|value, uint(entry&255)+size)
}

func (w *bitWriter) code(entry uint32) { w.bits(uint64(entry>>8), uint(entry&255)) }

// bits appends the lowest size bits, at most 27, of value, which has no others. out has room.
func (w *bitWriter) bits(value uint64, size uint) {
	w.acc = w.acc<<(size&63) | value
	w.n += size
	if w.n >= 32 {
		w.word()
	}
}

// word moves 32 bits to the output, a zero after each 0xFF.
func (w *bitWriter) word() {
	w.n -= 32
	word := uint32(w.acc >> (w.n & 63))
	if (^word-0x01010101)&word&0x80808080 == 0 {
		w.out = binary.BigEndian.AppendUint32(w.out, word)
		return
	}
	for shift := 24; shift >= 0; shift -= 8 {
		w.byte(byte(word >> shift))
	}
}

func (w *bitWriter) byte(b byte) {
	w.out = append(w.out, b)
	if b == 0xFF {
		w.out = append(w.out, 0)
	}
}

// finish fills the last byte with ones.
func (w *bitWriter) finish() []byte {
	free := -w.n & 7
	w.acc, w.n = w.acc<<free|(1<<free-1), w.n+free
	for w.n > 0 {
		w.n -= 8
		w.byte(byte(w.acc >> w.n))
	}
	return w.out
}
