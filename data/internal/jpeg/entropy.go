package jpeg

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// blockTables quantise and code the blocks of luma or of chroma.
type blockTables struct {
	*quantiser
	dc, ac codeTable
}

func newBlockTables(index, quality int, zeros *zeroTables) *blockTables {
	return &blockTables{
		quantiser: newQuantiser(scaledTable(index, quality), zeros),
		dc:        newCodeTable(annexK[2*index].counts, annexK[2*index].symbols),
		ac:        newCodeTable(annexK[2*index+1].counts, annexK[2*index+1].symbols),
	}
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

// bitWriter collects the bits of a scan.
type bitWriter struct {
	bytes []byte // with room for a block
	at    int    // how many of bytes are written
	acc   uint64 // the last n bits
	n     uint   // less than 8 between two calls of bits

	coefficients block
}

// maxBlock is more than the bytes of a block: 64 values of at most 27 bits with their codes.
const maxBlock = 256

func (w *bitWriter) reserve() {
	if len(w.bytes)-w.at < maxBlock {
		w.bytes = append(w.bytes, make([]byte, len(w.bytes)+16*maxBlock)...)
	}
}

// block transforms, quantises and codes a block (T.81, F.1.2), given as for forward, and returns its DC value; previous
// is that of the block before.
func (w *bitWriter) block(samples []uint64, t *blockTables, previous int32) int32 {
	w.reserve()
	b := &w.coefficients
	rest := t.transform(b, samples, patchWidth) &^ 1
	dc := t.value(b, 0)
	w.put(&t.dc, 0, dc-previous)
	at := 0
	for rest != 0 {
		next := bits.TrailingZeros64(rest)
		rest &= rest - 1
		run := next - at - 1
		for ; run > 15; run -= 16 {
			w.code(t.ac[0xF0])
		}
		w.put(&t.ac, run, t.value(b, next))
		at = next
	}
	if at < 63 {
		w.code(t.ac[0])
	}
	return dc
}

// empty codes a block that is like the one before in its mean, and flat.
func (w *bitWriter) empty(t *blockTables) {
	w.reserve()
	w.code(t.dc[0])
	w.code(t.ac[0])
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

// bits appends the lowest size bits, at most 27, of value, which has no others. Whole bytes are written each time,
// which has no branch to mispredict.
func (w *bitWriter) bits(value uint64, size uint) {
	w.acc = w.acc<<(size&63) | value
	w.n += size
	binary.BigEndian.PutUint64(w.bytes[w.at:], w.acc<<(-w.n&63))
	w.at += int(w.n >> 3)
	w.n &= 7
}

// finish fills the last byte with ones and appends all to out, with a zero after each 0xFF.
func (w *bitWriter) finish(out []byte) []byte {
	if w.n > 0 {
		free := 8 - w.n
		w.bits(1<<free-1, free)
	}
	for data := w.bytes[:w.at]; ; {
		i := bytes.IndexByte(data, 0xFF)
		if i < 0 {
			return append(out, data...)
		}
		out = append(append(out, data[:i+1]...), 0)
		data = data[i+1:]
	}
}
