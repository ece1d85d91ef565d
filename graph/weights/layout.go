package weights

import (
	"github.com/histdist/histdist/internal/finite"
)

// Convolution weights are [O,I,KH,KW] in files and [KH,KW,I,O] in the graph. Seen as matrices that is [O, I·K] → [K·I,
// O], a transposition whose tiles go through a buffer in the first-level cache, so that both sides are read and written
// in runs, and conversion to and from float32 is part of it. High tiles, whose runs are long in the graph's layout, are
// faster: 128×32 against 32×128 is 1.5× in toGraph and 2.6× in toFile at 1280×1280×3×3.
const (
	tileO = 128
	tileJ = 32
	pitch = tileJ + 16 // rows of the buffer begin in different sets of the cache
)

// kernel is the shape of a convolution weight; K is KH·KW.
type kernel struct{ O, I, K int }

// kernelOf reads a shape [O,I,KH,KW].
func kernelOf(shape []int) kernel { return kernel{O: shape[0], I: shape[1], K: shape[2] * shape[3]} }

// grain is about how many elements one job converts.
const grain = 1 << 20

// step is how many output channels make a job.
func (c kernel) step() int { return max(tileO, grain/(c.I*c.K)/tileO*tileO) }

// tile visits the rows of a tile of the graph's layout: element (o0+n, j0+m) of the file's matrix is at at+n.
func (c kernel) tile(j0, j1 int, visit func(m, at int)) {
	i, k := j0/c.K, j0%c.K
	for j := j0; j < j1; j++ {
		visit(j-j0, (k*c.I+i)*c.O)
		if k++; k == c.K {
			i, k = i+1, 0
		}
	}
}

// toGraph writes the output channels from o0 to o1 of the tensor t, whose elements [O,I,KH,KW] are src, into dst
// [KH,KW,I,O], and reports whether all are below a limit of package finite: looking at them on the way saves reading
// them again.
func (c kernel) toGraph(dst []float32, src []byte, t *stored, o0, o1, limit int) (ok bool) {
	ok = true
	var buffer [tileO * pitch]float32
	size, row := int(t.dtype.Size()), c.I*c.K
	for ; o0 < o1; o0 += tileO {
		n := min(tileO, o1-o0)
		for j0 := 0; j0 < row; j0 += tileJ {
			j1 := min(j0+tileJ, row)
			for o := range n {
				part := buffer[o*pitch:][:j1-j0]
				at := (o0+o)*row + j0
				t.read(part, src[at*size:], at)
				ok = finite.Index(part, limit) < 0 && ok
			}
			c.tile(j0, j1, func(m, at int) {
				out := dst[at+o0:][:n]
				for o := range out {
					out[o] = buffer[o*pitch+m]
				}
			})
		}
	}
	return ok
}

// toFile writes the output channels from o0 to o1 of src [KH,KW,I,O] into dst, the bytes of [O,I,KH,KW], and returns
// the first finite value that became infinite, if any.
func (c kernel) toFile(dst []byte, src []float32, t DType, o0, o1 int) (float32, bool) {
	var buffer [tileO * pitch]float32
	size, row := t.size(), c.I*c.K
	for ; o0 < o1; o0 += tileO {
		n := min(tileO, o1-o0)
		for j0 := 0; j0 < row; j0 += tileJ {
			j1 := min(j0+tileJ, row)
			c.tile(j0, j1, func(m, at int) {
				for o, f := range src[at+o0:][:n] {
					buffer[o*pitch+m] = f
				}
			})
			for o := range n {
				from := buffer[o*pitch:][:j1-j0]
				if bad := encode(dst[((o0+o)*row+j0)*size:], from, t); bad >= 0 {
					return from[bad], true
				}
			}
		}
	}
	return 0, false
}

// fileShape turns a graph's shape of a parameter into that of a file.
func fileShape(graph []int) []int {
	if len(graph) == 4 {
		return []int{graph[3], graph[2], graph[0], graph[1]}
	}
	return append([]int{}, graph...)
}
