//go:build gpu

package ops

import (
	"unsafe"

	"github.com/histdist/histdist/graph/device/internal/cuda/internal/cublaslt"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

// matrix is Matrix of matmul.cu: element (i,j) is at i·row + j·col, for each head of each sample.
type matrix struct {
	launch.Value
	row, col, sample, head int
}

func (m matrix) structure() launch.Structure {
	return launch.Structure{m.Value, m.row, m.col, m.sample, m.head}
}

func (m matrix) layout() cublaslt.Matrix {
	return cublaslt.Matrix{BF16: m.BF16, Row: m.row, Col: m.col, Sample: m.sample, Head: m.head}
}

// t is the transposed matrix.
func (m matrix) t() matrix {
	m.row, m.col = m.col, m.row
	return m
}

// byRows is a matrix whose rows of n elements lie one after the other, and byColumns the transposed of one.
func byRows(v launch.Value, n int) matrix    { return matrix{Value: v, row: n, col: 1} }
func byColumns(v launch.Value, n int) matrix { return matrix{Value: v, row: 1, col: n} }

// epilogue is Epilogue of matmul.cu: act(alpha·product + bias + residual).
type epilogue struct {
	bias     launch.Pointer
	residual launch.Value
	y        matrix
	act      op.Act
	alpha    float32
}

func (e epilogue) structure() launch.Structure {
	return launch.Structure{e.bias, e.residual, e.y.Value, e.y.row, e.y.col, e.y.sample, e.y.head, e.act, e.alpha}
}

// extent is the size of a product: [m,k]·[k,n] for each of z matrices, which are heads of each sample. The zero
// values of z and heads stand for one.
type extent struct{ m, n, k, z, heads int }

// gemm multiplies left [m,k] by right [k,n], for each matrix: by cuBLASLt where it can, else by a kernel of our own.
func (b *builder) gemm(left, right matrix, e epilogue, x extent) {
	x.z, x.heads = max(x.z, 1), max(x.heads, 1)
	p, finish := b.viaLibrary(left, right, e, x)
	b.Launch("gemm", [3]int{ceil(x.m, kernels.Tile), ceil(x.n, kernels.Tile), x.z}, kernels.Threads,
		left.structure(), right.t().structure(), e.structure(), x.m, x.n, x.k, x.heads)
	b.gemms++
	if p != nil {
		b.Substitute(p, p.Workspace(), finish)
	}
}

// viaLibrary is gemm by cuBLASLt; nil where it can't. What its epilogue lacks is done by finish in the output:
// activations, which are not quite ours there, and a residual of another element type than the output's.
func (b *builder) viaLibrary(left, right matrix, e epilogue, x extent) (p *product, finish *launch.Launch) {
	if b.gpu.lt == nil {
		return nil, nil
	}
	plain := e
	plain.bias, plain.act = launch.Pointer{}, op.NoAct
	biased, apart := !e.bias.IsNil(), !e.residual.IsNil() && e.residual.BF16 != e.y.BF16
	if !apart && e.act == op.NoAct {
		plain.bias = e.bias
		if biased && e.y.BF16 {
			plain.bias = b.bfloat16(2, false).Pointer
		}
		if p = b.product(left, right, plain, x); p != nil || !biased {
			return p, nil
		}
		plain.bias = launch.Pointer{}
	}
	if x.z != 1 || e.y.row != x.n || e.y.col != 1 {
		return nil, nil
	}
	if apart {
		plain.residual = launch.Value{}
	} else {
		e.residual = launch.Value{}
	}
	if p = b.product(left, right, plain, x); p == nil {
		return nil, nil
	}
	p.also = append(p.also, e.bias, e.residual.Pointer)
	b.Eights("product_finish", x.m*x.n, e.y.Value, e.bias, e.residual, x.m*x.n, x.n, e.act)
	if b.Err != nil {
		return nil, nil
	}
	return p, b.Take()
}

// product is one of cuBLASLt's, with the places of its operands. A run that has an operand at an odd address takes
// our own kernel: views at odd places, which networks don't make.
type product struct {
	*cublaslt.Product
	left, right, residual, y launch.Pointer
	bias                     launch.Pointer
	also                     []launch.Pointer // what else must be at a multiple of cublaslt.Alignment
}

// product compiles a product for cuBLASLt: see gemm, whose arguments it takes, without an activation; the bias is of
// y's element type. It is nil where cuBLASLt can't do it.
func (b *builder) product(left, right matrix, e epilogue, x extent) *product {
	plus := !e.residual.IsNil()
	if b.Err != nil || plus && e.residual.BF16 != e.y.BF16 {
		return nil
	}
	compiled, err := b.gpu.lt.Compile(cublaslt.Problem{
		Left: left.layout(), Right: right.layout(), Y: e.y.layout(), Alpha: e.alpha, Bias: !e.bias.IsNil(), Residual: plus,
		M: x.m, N: x.n, K: x.k, Z: x.z, Heads: x.heads,
	})
	if b.Err = err; compiled == nil {
		return nil
	}
	b.Hold(compiled.Close)
	b.products++
	p := &product{
		Product: compiled,
		left:    left.Pointer, right: right.Pointer, residual: e.residual.Pointer, y: e.y.Pointer, bias: e.bias,
	}
	if !e.bias.IsNil() {
		p.also = append(p.also, e.bias)
	}
	return p
}

// Run queues the product: see launch.Substitute.
func (p *product) Run(a *launch.Addresses, workspace unsafe.Pointer) (done bool, err error) {
	for _, o := range p.also {
		if uintptr(a.At(o))%cublaslt.Alignment != 0 {
			return false, nil
		}
	}
	return p.Product.Run(cublaslt.Operands{
		Left: a.At(p.left), Right: a.At(p.right), Bias: a.At(p.bias), Residual: a.At(p.residual), Y: a.At(p.y),
	}, workspace)
}
