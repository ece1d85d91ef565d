package registration

import (
	"fmt"
	"math"
	"math/cmplx"
)

// Transform takes a place of the H&E image to the same tissue in the IHC image: it scales and turns about the middle of
// the image, then shifts.
type Transform struct {
	DX    float64 `json:"dx"`    // of the middle, in pixels to the right
	DY    float64 `json:"dy"`    // and down
	Angle float64 `json:"angle"` // in degrees, from x to y: clockwise as images are shown
	Scale float64 `json:"scale"`
}

// Identity is the transform of an aligned pair.
func Identity() Transform { return Transform{Scale: 1} }

// Shift is how far the middle is shifted, in pixels.
func (t Transform) Shift() float64 { return math.Hypot(t.DX, t.DY) }

// String is a line, such as "shift 3.1, −2.0 px, rotation 0.12°, scale 1.001".
func (t Transform) String() string {
	return fmt.Sprintf("shift %+.1f, %+.1f px, rotation %+.2f°, scale %.4f", t.DX, t.DY, t.Angle, t.Scale)
}

// mapping is a transform of an image of some size, on places x + iy of the middles of pixels.
type mapping struct{ centre, turn, shift complex128 }

func (t Transform) mapping(width, height int) mapping {
	return mapping{
		centre: complex(float64(width-1)/2, float64(height-1)/2),
		turn:   cmplx.Rect(t.Scale, t.Angle*math.Pi/180), shift: complex(t.DX, t.DY),
	}
}

func (m mapping) of(z complex128) complex128 { return m.centre + m.turn*(z-m.centre) + m.shift }

// after is the transform that first applies another, small one.
func (t Transform) after(turn, shift complex128) Transform {
	m := t.mapping(1, 1)
	return transformOf(m.turn*turn, m.shift+m.turn*shift)
}

func transformOf(turn, shift complex128) Transform {
	r, phi := cmplx.Polar(turn)
	return Transform{DX: real(shift), DY: imag(shift), Angle: phi * 180 / math.Pi, Scale: r}
}
