package weights

import (
	"fmt"
)

// LowRank is a low-rank addition to a tensor of a file: scale·B·A (Hu et al. 2021, "LoRA"). The tensor is seen as a
// matrix [out, in], or [O, I·KH·KW] of a convolution.
type LowRank struct {
	A, B  []float32 // [Rank,in] and [out,Rank], row by row
	Rank  int
	Scale float64
}

// Add makes everything that the store gives from now on, by Bind and Float32, have an addition to a tensor. Additions
// to one tensor are summed. The file stays as it is, and so does its Digest.
func (s *Store) Add(name string, l LowRank) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tensors[name]
	switch {
	case t == nil:
		return fmt.Errorf("%s: no tensor %q", s.path, name)
	case !isFloat(t.dtype) || len(t.shape) < 2:
		return fmt.Errorf("%s: tensor %q: %s %v: want the weight of a linear layer or a convolution",
			s.path, name, t.dtype, t.shape)
	case t.asFile != nil || t.asKernel != nil:
		return fmt.Errorf("%s: tensor %q is in use", s.path, name)
	}
	out := t.shape[0]
	if in := elements(t.shape[1:]); l.Rank < 1 || len(l.A) != l.Rank*in || len(l.B) != out*l.Rank {
		return fmt.Errorf("%s: tensor %q: %v: an addition of rank %d with %d and %d numbers: want %d and %d",
			s.path, name, t.shape, l.Rank, len(l.A), len(l.B), l.Rank*in, out*l.Rank)
	}
	t.additions = append(t.additions, l)
	return nil
}

// read writes elements of the tensor from index i on, in the file's layout, additions included. data begins with them.
func (t *stored) read(dst []float32, data []byte, i int) {
	decode(dst, data, t.dtype)
	for _, l := range t.additions {
		l.addTo(dst, i, elements(t.shape[1:]))
	}
}

// addTo adds to elements from index i on of a matrix with rows of a length. Every element is rounded once, so that it
// doesn't depend on the stretch that it is computed with.
func (l LowRank) addTo(dst []float32, i, length int) {
	var sums [256]float64
	for len(dst) > 0 {
		row, from := i/length, i%length
		n := min(len(dst), length-from, len(sums))
		clear(sums[:n])
		for r, b := range l.B[row*l.Rank:][:l.Rank] {
			for k, a := range l.A[r*length+from:][:n] {
				sums[k] += float64(b) * float64(a)
			}
		}
		for k, sum := range sums[:n] {
			dst[k] = float32(float64(dst[k]) + l.Scale*sum)
		}
		dst, i = dst[n:], i+n
	}
}
