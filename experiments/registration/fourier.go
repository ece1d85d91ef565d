package registration

import "gonum.org/v1/gonum/dsp/fourier"

// transform2D is the discrete Fourier transform of [height,width] values.
type transform2D struct {
	width, height int
	rows, columns *fourier.CmplxFFT
	column        []complex128
}

func newTransform2D(width, height int) *transform2D {
	return &transform2D{
		width: width, height: height, rows: fourier.NewCmplxFFT(width), columns: fourier.NewCmplxFFT(height),
		column: make([]complex128, height),
	}
}

// forward transforms values in place.
func (t *transform2D) forward(values []complex128) {
	t.each(values, t.rows.Coefficients, t.columns.Coefficients)
}

// inverse undoes forward but for a factor of width × height.
func (t *transform2D) inverse(values []complex128) {
	t.each(values, t.rows.Sequence, t.columns.Sequence)
}

func (t *transform2D) each(values []complex128, row, column func(dst, src []complex128) []complex128) {
	for y := range t.height {
		part := values[y*t.width : (y+1)*t.width]
		row(part, part)
	}
	for x := range t.width {
		for y := range t.height {
			t.column[y] = values[y*t.width+x]
		}
		column(t.column, t.column)
		for y, v := range t.column {
			values[y*t.width+x] = v
		}
	}
}
