//go:build gpu

package cublaslt

/*
#cgo LDFLAGS: -lcuda
#include "lt.h"
*/
import "C"

import (
	"fmt"
	"math"
	"sync"
	"unsafe"

	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nvlib"
)

// mostWorkspace is the most workspace that a product may have, in bytes: NVIDIA's recommendation for Hopper.
const mostWorkspace = 32 << 20

// Alignment is the alignment of matrices, in bytes: cuBLASLt's fast kernels load so much at once.
const Alignment = 16

// Library is cuBLASLt with a handle on a GPU.
type Library struct {
	File *nvlib.Library

	stream *driver.Stream
	mu     sync.Mutex // guards the choice of algorithms
	handle *C.hd_lt   // nil once closed
}

// Open opens cuBLASLt for a driver that knows CUDA version version. It must be called within the stream.
func Open(stream *driver.Stream, version int) (*Library, error) {
	file, err := nvlib.CUBLASLt.Open(version)
	if err != nil {
		return nil, err
	}
	var text [512]C.char
	handle := C.hd_lt_open(file.Handle, &text[0], C.size_t(len(text)))
	if handle == nil {
		return nil, fmt.Errorf("%v: %w: %s: is it for this driver's CUDA %s?",
			file, nvlib.ErrNoLibrary, C.GoString(&text[0]), driver.VersionText(version))
	}
	return &Library{File: file, stream: stream, handle: handle}, nil
}

// Close frees the handle. Products that are left can be closed after it.
func (l *Library) Close() error {
	r := C.hd_lt_close(l.handle)
	l.handle = nil
	return result("cublasLtDestroy", r)
}

// result is nil for success.
func result(what string, r C.int) error {
	if r == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s (%d)", what, C.GoString(C.hd_lt_status(r)), int(r))
}

// Matrix is how matrices are stored: element (i,j) at i·Row + j·Col, in elements, for each head of each sample.
type Matrix struct {
	BF16                   bool // else float32
	Row, Col, Sample, Head int
}

// size is that of an element.
func (m Matrix) size() int64 {
	if m.BF16 {
		return 2
	}
	return 4
}

// bytes is where matrix z begins.
func (m Matrix) bytes(z, heads int) int64 { return int64(z/heads*m.Sample+z%heads*m.Head) * m.size() }

// Problem is Y [M,N] = Alpha·Left [M,K]·Right [K,N] + bias + residual, for each of Z matrices, which are Heads heads
// of each sample.
type Problem struct {
	Left, Right, Y    Matrix
	Alpha             float32
	Bias              bool // [N], of Y's element type, at a multiple of Alignment
	Residual          bool // laid out as Y, in its element type
	M, N, K, Z, Heads int
}

// spec turns a product of rows, y [m,n] = left [m,k] · right [k,n], into what cuBLASLt computes. It counts element
// (i,j) of a matrix at i + j·ld, we at i·ld + j: our matrix is its transposed one. So it is given
//
//	yᵀ [n,m] = rightᵀ [n,k] · leftᵀ [k,m]
//
// and its A is our right factor, its B our left one, m and n exchanged; the bias, one number for each of our columns,
// is one for each of its rows, as it wants it. A factor whose rows lie one after the other is rightᵀ or leftᵀ as it
// lies there; one whose columns do is transposed (CUBLAS_OP_T). ok is false for what it can't do: matrices with
// neither rows nor columns in one piece.
func (p *Problem) spec(batch int) (s C.hd_lt_spec, ok bool) {
	s.m, s.n, s.k, s.batch = C.int64_t(p.N), C.int64_t(p.M), C.int64_t(p.K), C.int64_t(batch)
	a, ok1 := side(p.Right, p.K, p.N)
	b, ok2 := side(p.Left, p.M, p.K)
	d, ok3 := side(p.Y, p.M, p.N)
	s.a, s.b, s.d = a, b, d
	s.alpha, s.workspace = C.float(p.Alpha), mostWorkspace
	if p.Residual {
		s.beta = 1
	}
	if p.Bias {
		s.bias = 1
	}
	ok = ok1 && ok2 && ok3 && d.transposed == 0 && max(p.M, p.N, p.K, batch) <= math.MaxInt32
	return s, ok
}

// side describes a matrix of rows×cols elements.
func side(m Matrix, rows, cols int) (s C.struct_hd_lt_matrix, ok bool) {
	if m.BF16 {
		s.bf16 = 1
	}
	s.alignment = Alignment
	switch {
	case m.Col == 1 && (m.Row >= cols || rows == 1):
		s.ld = C.int64_t(max(m.Row, cols))
	case m.Row == 1 && (m.Col >= rows || cols == 1):
		s.transposed, s.ld = 1, C.int64_t(max(m.Col, rows))
	default:
		return s, false
	}
	return s, true
}

// batches says how the Z matrices are taken: in runs of count matrices that lie at one distance from the next.
func (p *Problem) batches() (count int, distance func(Matrix) int) {
	uniform := true
	for _, m := range []Matrix{p.Left, p.Right, p.Y} {
		uniform = uniform && m.Sample == p.Heads*m.Head
	}
	switch {
	case p.Heads == 1:
		return p.Z, func(m Matrix) int { return m.Sample }
	case uniform || p.Z == p.Heads:
		return p.Z, func(m Matrix) int { return m.Head }
	}
	return p.Heads, func(m Matrix) int { return m.Head }
}

// Product is a problem with the algorithm that solves it.
type Product struct {
	library  *Library
	compiled *C.hd_lt_product
	align    uintptr // of the matrices, in bytes
	// Bytes to the first matrix of each batch.
	left, right, y []int64
}

// Compile chooses an algorithm; nil where cuBLASLt has none.
func (l *Library) Compile(p Problem) (*Product, error) {
	if p.Left.BF16 != p.Right.BF16 || p.Y.BF16 && !p.Left.BF16 {
		return nil, nil
	}
	count, distance := p.batches()
	s, ok := p.spec(count)
	if !ok {
		return nil, nil
	}
	made := &Product{library: l}
	align := int64(Alignment)
	for _, o := range []struct {
		m       Matrix
		as      *C.struct_hd_lt_matrix
		batches *[]int64
	}{{p.Right, &s.a, &made.right}, {p.Left, &s.b, &made.left}, {p.Y, &s.d, &made.y}} {
		if count > 1 {
			o.as.stride = C.int64_t(distance(o.m))
		}
		for i := range p.Z {
			at := o.m.bytes(i, p.Heads)
			for at%align != 0 { // where one matrix is aligned, another one isn't
				align /= 2
			}
			if i%count == 0 {
				*o.batches = append(*o.batches, at)
			}
		}
	}
	made.align = uintptr(align)
	s.a.alignment, s.b.alignment, s.d.alignment = C.int64_t(align), C.int64_t(align), C.int64_t(align)
	var text [512]C.char
	err := l.stream.Within(func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		made.compiled = C.hd_lt_compile(l.handle, &s, &text[0], C.size_t(len(text)))
		return nil
	})
	if made.compiled == nil {
		return nil, err
	}
	return made, nil
}

func (p *Product) Workspace() int64 { return int64(C.hd_lt_workspace(p.compiled)) }

// Operands are the addresses of a product; nil for a residual or a bias that there isn't.
type Operands struct{ Left, Right, Bias, Residual, Y unsafe.Pointer }

// Run queues the product. It returns false, having queued nothing, where a matrix isn't at a multiple of the
// alignment.
func (p *Product) Run(o Operands, workspace unsafe.Pointer) (done bool, err error) {
	if (uintptr(o.Left)|uintptr(o.Right)|uintptr(o.Residual)|uintptr(o.Y))%p.align != 0 {
		return false, nil
	}
	context, stream := C.CUcontext(p.library.stream.Context()), C.CUstream(p.library.stream.Handle())
	for i := range p.y {
		c := o.Residual
		if c != nil {
			c = unsafe.Add(c, p.y[i])
		}
		// Its A is our right factor: see spec.
		r := C.hd_lt_run(p.library.handle, context, p.compiled,
			unsafe.Add(o.Right, p.right[i]), unsafe.Add(o.Left, p.left[i]), o.Bias, c,
			unsafe.Add(o.Y, p.y[i]), workspace, stream)
		if err := result("cublasLtMatmul", r); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Close frees what the library holds for the product, unless the library is closed already.
func (p *Product) Close() error {
	if p.library.handle != nil {
		C.hd_lt_free(p.library.handle, p.compiled)
	}
	return nil
}
