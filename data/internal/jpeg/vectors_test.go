package jpeg

import (
	"math/rand/v2"
	"testing"
)

// The vector instructions make the same coefficients as plain Go, of which jpeg_test.go has the truth.
func TestVectorsEqualPlainGo(t *testing.T) {
	if !hasVectors() {
		t.Skip("this processor has no vector instructions that are used")
	}
	r := rand.New(rand.NewPCG(1, 2))
	const stride = 11
	for _, quality := range []int{1, 50, 90, 100} {
		q := newQuantiser(scaledTable(0, quality), newZeroTables())
		for range 300 {
			var samples [4 * stride]uint64
			low, width := r.IntN(256), 1+r.IntN(256)
			for i := range samples {
				value := func() uint64 { return uint64(min(low+r.IntN(width), 255)) }
				samples[i] = value() | value()<<32
			}
			var plain, vector block
			q.vector = false
			want := q.transform(&plain, samples[1:], stride)
			q.vector = true
			if got := q.transform(&vector, samples[1:], stride); got != want || plain != vector {
				t.Fatalf("quality %d: not zero %x and %x, coefficients\n%x\n%x", quality, got, want, vector, plain)
			}
			for k := 1; k < 64; k++ {
				if (q.value(&plain, k) != 0) != (want>>k&1 != 0) {
					t.Fatalf("coefficient %d is %d, which nonzero does not say", k, q.value(&plain, k))
				}
			}
		}
	}
}

func TestConvertingVectorsEqualsPlainGo(t *testing.T) {
	if !hasVectors() {
		t.Skip("this processor has no vector instructions that are used")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, width := range []int{1, 5, 6, 21, 64, 130} {
		pix := make([]uint8, 3*width*11)
		for i := range pix {
			pix[i] = uint8(r.IntN(256))
		}
		for _, factor := range []int{1, 2} {
			for x := 0; x < width; x += patchWidth {
				plain, vector := &patch{factor: factor}, &patch{factor: factor, vector: true}
				plain.load(pix, width, 11, x, 0)
				vector.load(pix, width, 11, x, 0)
				if plain.full != vector.full || plain.chroma != vector.chroma {
					t.Errorf("width %d from column %d, subsampling %d: the samples differ", width, x, factor)
				}
			}
		}
	}
}
