package ref

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// matrix views elements as rows × cols.
type matrix[T element] struct {
	data       []T
	rows, cols int
	stride     int  // from one stored row to the next
	transposed bool // the stored rows are the columns
}

// dense views contiguous rows.
func dense[T element](data []T, rows, cols int) matrix[T] {
	return matrix[T]{data: data, rows: rows, cols: cols, stride: cols}
}

// t is the transposed matrix.
func (m matrix[T]) t() matrix[T] {
	m.rows, m.cols, m.transposed = m.cols, m.rows, !m.transposed
	return m
}

func (m matrix[T]) transpose() blas.Transpose {
	if m.transposed {
		return blas.Trans
	}
	return blas.NoTrans
}

// part views n rows from first on. The matrix must not be transposed.
func (m matrix[T]) part(first, n int) matrix[T] {
	m.data, m.rows = m.data[first*m.stride:], n
	return m
}

// row is row i. The matrix must not be transposed.
func (m matrix[T]) row(i int) []T { return m.data[i*m.stride:][:m.cols] }

// multiply sets c = alpha·a·b + beta·c. c must not be transposed.
func multiply[T element](c matrix[T], alpha T, a, b matrix[T], beta T) {
	ta, tb := a.transpose(), b.transpose()
	switch data := any(c.data).(type) {
	case []float32:
		gonum.Implementation{}.Sgemm(ta, tb, c.rows, c.cols, a.cols, float32(alpha), any(a.data).([]float32), a.stride,
			any(b.data).([]float32), b.stride, float32(beta), data, c.stride)
	case []float64:
		gonum.Implementation{}.Dgemm(ta, tb, c.rows, c.cols, a.cols, float64(alpha), any(a.data).([]float64), a.stride,
			any(b.data).([]float64), b.stride, float64(beta), data, c.stride)
	}
}
