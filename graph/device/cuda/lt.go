//go:build gpu

package cuda

// #include "lt.h"
import "C"

import (
	"fmt"
	"math"
	"sync"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/cuda/internal/nvlib"
)

// ltWorkspace is the most that cuBLASLt may take for one product: what NVIDIA recommends for Hopper.
const ltWorkspace = 32 << 20

// ltAlignment is what cuBLASLt may count on, in bytes: its fast kernels load so much at once. A run that has an operand elsewhere takes a
// kernel of our own: views at odd places, which networks don't make.
const ltAlignment = 16

// lt is cuBLASLt on a device.
type lt struct {
	library *nvlib.Library // nil: there is none
	missing error    // why
	handle  *C.hd_lt
	mu      sync.Mutex // guards the choice of algorithms
}

// begin opens cuBLASLt, in the device's context. Where there is none, products take our own kernels: Device.Libraries and the kernels'
// Algorithm tell.
func (l *lt) begin(driver int) {
	if l.library, l.missing = nvlib.CUBLASLt.Open(driver); l.missing != nil {
		return
	}
	text := make([]byte, 512)
	at := (*C.char)(unsafe.Pointer(&text[0]))
	if l.handle = C.hd_lt_open(l.library.Handle, at, C.size_t(len(text))); l.handle == nil {
		l.missing = fmt.Errorf("%v: %w: %s: is it for this driver's CUDA %s?", l.library, nvlib.ErrNoLibrary, C.GoString(at), versionText(driver))
		l.library = nil
	}
}

func (l *lt) close() error {
	if l.handle == nil {
		return nil
	}
	r := C.hd_lt_close(l.handle)
	l.handle = nil
	return ltResult("cublasLtDestroy", r)
}

// ltResult is nil for success.
func ltResult(what string, r C.int) error {
	if r == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s (%d)", what, C.GoString(C.hd_lt_status(r)), int(r))
}

// product is one of cuBLASLt's, with the places of its operands.
type product struct {
	lt          *lt
	compiled    *C.hd_lt_product
	left, right value
	residual, y value
	bias        pointer
	align       uintptr   // of the matrices
	also        []pointer // what must lie at a multiple of ltAlignment besides
	// Bytes to the first matrix of each batch.
	leftAt, rightAt, yAt []int64
}

// spec turns a product of rows, y [m,n] = left [m,k] · right [k,n], into what cuBLASLt computes. It counts element (i,j) of a matrix at
// i + j·ld, we at i·ld + j: our matrix is its transposed one. So it is given
//
//	yᵀ [n,m] = rightᵀ [n,k] · leftᵀ [k,m]
//
// and its A is our right factor, its B our left one, m and n exchanged; the bias, one number for each of our columns, is one for each of its
// rows, as it wants it. A factor whose rows lie one behind the other is rightᵀ or leftᵀ as it lies there; one whose columns do is transposed
// (CUBLAS_OP_T). ok is false for what it can't do: matrices with neither rows nor columns in one piece.
func spec(left, right matrix, e epilogue, m, n, k, batch int) (s C.hd_lt_spec, ok bool) {
	s.m, s.n, s.k, s.batch = C.int64_t(n), C.int64_t(m), C.int64_t(k), C.int64_t(batch)
	a, ok1 := side(right, k, n)
	b, ok2 := side(left, m, k)
	d, ok3 := side(e.y, m, n)
	s.a, s.b, s.d = a, b, d
	s.alpha, s.workspace = C.float(e.alpha), ltWorkspace
	ok = ok1 && ok2 && ok3 && d.transposed == 0 && max(m, n, k, batch) <= math.MaxInt32
	return s, ok
}

// side describes a matrix of rows×cols elements.
func side(m matrix, rows, cols int) (s C.struct_hd_lt_matrix, ok bool) {
	s.bf16 = C.int(flag(m.bf16))
	s.alignment = ltAlignment
	switch {
	case m.col == 1 && (m.row >= cols || rows == 1):
		s.ld = C.int64_t(max(m.row, cols))
	case m.row == 1 && (m.col >= rows || cols == 1):
		s.transposed, s.ld = 1, C.int64_t(max(m.col, rows))
	default:
		return s, false
	}
	return s, true
}

// batches tells how z matrices, of heads of each sample, are taken: in runs of count matrices that lie at one distance from the next.
func batches(z, heads int, matrices ...*matrix) (count int, distance func(*matrix) int) {
	uniform := true
	for _, m := range matrices {
		uniform = uniform && m.sample == heads*m.head
	}
	switch {
	case heads == 1:
		return z, func(m *matrix) int { return m.sample }
	case uniform || z == heads:
		return z, func(m *matrix) int { return m.head }
	}
	return heads, func(m *matrix) int { return m.head }
}

// product compiles a product for cuBLASLt: see gemm, whose arguments it takes, but for bias, which is of y's element type. It is nil where
// cuBLASLt can't do it.
func (b *builder) product(left, right matrix, e epilogue, bias pointer, m, n, k, z, heads int) *product {
	l := &b.device.lt
	plus := e.residual.from != nowhere
	if l.handle == nil || b.err != nil || left.bf16 != right.bf16 || e.y.bf16 && !left.bf16 || plus && e.residual.bf16 != e.y.bf16 {
		return nil
	}
	count, distance := batches(z, heads, &left, &right, &e.y)
	s, ok := spec(left, right, e, m, n, k, count)
	if !ok {
		return nil
	}
	p := &product{lt: l, left: left.value, right: right.value, residual: e.residual, y: e.y.value, bias: bias}
	if plus {
		s.beta = 1
	}
	if bias.from != nowhere {
		s.bias = 1
		p.also = append(p.also, bias)
	}
	align := int64(ltAlignment)
	for _, o := range []struct {
		m       matrix
		as      *C.struct_hd_lt_matrix
		batches *[]int64
	}{{right, &s.a, &p.rightAt}, {left, &s.b, &p.leftAt}, {e.y, &s.d, &p.yAt}} {
		if count > 1 {
			o.as.stride = C.int64_t(distance(&o.m))
		}
		for i := range z {
			at := o.m.bytes(i, heads)
			for at%align != 0 { // where one matrix is aligned, another one isn't
				align /= 2
			}
			if i%count == 0 {
				*o.batches = append(*o.batches, at)
			}
		}
	}
	p.align = uintptr(align)
	s.a.alignment, s.b.alignment, s.d.alignment = C.int64_t(align), C.int64_t(align), C.int64_t(align)
	text := make([]byte, 512)
	b.err = b.device.within(func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		p.compiled = C.hd_lt_compile(l.handle, &s, (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)))
		return nil
	})
	if p.compiled == nil {
		return nil
	}
	b.products = append(b.products, p)
	b.shared = max(b.shared, int64(C.hd_lt_workspace(p.compiled)))
	return p
}

// bytes is where matrix z begins.
func (m matrix) bytes(z, heads int) int64 { return int64(z/heads*m.sample+z%heads*m.head) * m.size() }

// size is that of an element.
func (v value) size() int64 {
	if v.bf16 {
		return 2
	}
	return 4
}

// run queues the product; done is false, and nothing was queued, where an operand lies at no multiple of the alignment.
func (p *product) run(d *Device, at func(pointer) unsafe.Pointer, workspace unsafe.Pointer) (done bool, err error) {
	left, right, residual, y := at(p.left.pointer), at(p.right.pointer), at(p.residual.pointer), at(p.y.pointer)
	if (uintptr(left)|uintptr(right)|uintptr(residual)|uintptr(y))%p.align != 0 {
		return false, nil
	}
	for _, o := range p.also {
		if uintptr(at(o))%ltAlignment != 0 {
			return false, nil
		}
	}
	for i := range p.yAt {
		c := residual
		if c != nil {
			c = unsafe.Add(c, p.yAt[i])
		}
		// Its A is our right factor: see spec.
		r := C.hd_lt_run(p.lt.handle, contextOf(d.context), p.compiled, unsafe.Add(right, p.rightAt[i]), unsafe.Add(left, p.leftAt[i]), at(p.bias), c,
			unsafe.Add(y, p.yAt[i]), workspace, streamOf(d.stream))
		if err := ltResult("cublasLtMatmul", r); err != nil {
			return false, err
		}
	}
	return true, nil
}

// free gives back what the library holds for the product, unless the device is closed already.
func (p *product) free() {
	if p.lt.handle != nil {
		C.hd_lt_free(p.lt.handle, p.compiled)
	}
}

// Libraries are those of NVIDIA's that the device computes with, and what it does without one as an error.
func (d *Device) Libraries() (open []*nvlib.Library, missing []error) {
	for _, l := range []struct {
		library *nvlib.Library
		missing error
	}{{d.lt.library, d.lt.missing}, {d.dnn.library, d.dnn.missing}} {
		if l.library != nil {
			open = append(open, l.library)
		} else {
			missing = append(missing, l.missing)
		}
	}
	return open, missing
}

// aligned is the next multiple of 256 bytes, where cuBLASLt wants its workspace.
func aligned(p device.Pointer) device.Pointer { return unsafe.Add(p, -uintptr(p)&255) }
