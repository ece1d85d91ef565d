package registration_test

import (
	"errors"
	"fmt"
	"math"
	"math/cmplx"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/registration"
	"github.com/histdist/histdist/internal/synth"
)

// pairOf makes a pair of synthetic tissue, and the same tissue with an IHC of which each place is a transform's.
func pairOf(t *testing.T, index, size int, off registration.Transform) (he, ihc *imagefile.Image) {
	t.Helper()
	const border = 48
	c := synth.Default()
	c.Size, c.Seed = size+2*border, 11
	p, err := synth.Generate(t.Context(), c, index)
	if err != nil {
		t.Fatal(err)
	}
	he, ihc = imagefile.New(size, size), imagefile.New(size, size)
	// A place z of the H&E is at m·z + d in the IHC, so that the IHC's pixel w is the tissue at (w − d)/m.
	sin, cos := math.Sincos(off.Angle * math.Pi / 180)
	middle := float64(size-1) / 2
	for y := range size {
		for x := range size {
			copy(he.Pix[3*(y*size+x):][:3], p.HE.Pix[3*((y+border)*c.Size+x+border):])
			u, v := float64(x)-middle-off.DX, float64(y)-middle-off.DY
			u, v = (cos*u+sin*v)/off.Scale, (cos*v-sin*u)/off.Scale
			bilinear(ihc.Pix[3*(y*size+x):][:3], p.IHC, u+middle+border, v+middle+border)
		}
	}
	return he, ihc
}

func bilinear(to []uint8, m *imagefile.Image, x, y float64) {
	x, y = max(0, min(x, float64(m.Width-2))), max(0, min(y, float64(m.Height-2)))
	i, j := int(x), int(y)
	fx, fy := x-float64(i), y-float64(j)
	for c := range to {
		at := func(dx, dy int) float64 { return float64(m.Pix[3*((j+dy)*m.Width+i+dx)+c]) }
		top, bottom := at(0, 0)*(1-fx)+at(1, 0)*fx, at(0, 1)*(1-fx)+at(1, 1)*fx
		to[c] = uint8(math.Round(top*(1-fy) + bottom*fy))
	}
}

// A known shift, rotation and scale of synthetic tissue is found to half a pixel and a fifth of a degree.
func TestRegisterFindsAKnownTransform(t *testing.T) {
	for i, want := range []registration.Transform{
		{Scale: 1},
		{DX: 3.3, DY: -7.6, Scale: 1},
		{DX: -32, DY: 0.5, Scale: 1},
		{DX: 22.4, DY: 22.7, Scale: 1},
		{DX: 4, DY: 9, Angle: 0.7, Scale: 1},
		{DX: -12, DY: 17, Angle: -4, Scale: 1.02},
		{DX: 8, DY: -3, Angle: 11, Scale: 0.96},
	} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			t.Parallel()
			he, ihc := pairOf(t, i, 320, want)
			got, err := registration.Register(he, ihc)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, residual %.2f, parts %d", got.Transform, got.Residual, got.Parts)
			if d := math.Hypot(got.DX-want.DX, got.DY-want.DY); d > 0.5 {
				t.Errorf("shift is off by %.2f px", d)
			}
			if d := math.Abs(got.Angle - want.Angle); d > 0.2 {
				t.Errorf("rotation is off by %.2f°", d)
			}
			if d := math.Abs(got.Scale - want.Scale); d > 0.003 {
				t.Errorf("scale is off by %.4f", d)
			}
			if got.Residual > 1 {
				t.Errorf("residual %.2f px of a pair that is only shifted, turned and scaled", got.Residual)
			}
		})
	}
}

// The misregistration that synthetic pairs are made with is a shift and a smooth warp: where each nucleus lies in both
// images is known.
func TestRegisterOfMisregisteredTissue(t *testing.T) {
	for index, limit := range []float64{6, 12, 32} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			c := synth.Default()
			c.Size, c.Seed, c.Misregistration = 320, 3, limit
			p, err := synth.Generate(t.Context(), c, index)
			if err != nil {
				t.Fatal(err)
			}
			got, err := registration.Register(p.HE, p.IHC)
			if err != nil {
				t.Fatal(err)
			}
			left, squares, inside := complex(0, 0), 0.0, 0.0
			middle := complex(float64(c.Size)/2, float64(c.Size)/2)
			turn := cmplx.Rect(got.Scale, got.Angle*math.Pi/180)
			for _, n := range p.Truth.Nuclei {
				if min(n.IHCX, n.IHCY) < 0 || max(n.IHCX, n.IHCY) > float64(c.Size) {
					continue
				}
				off := middle + turn*(complex(n.X, n.Y)-middle) + complex(got.DX, got.DY) - complex(n.IHCX, n.IHCY)
				left, squares, inside = left+off, squares+real(off)*real(off)+imag(off)*imag(off), inside+1
			}
			bias, rms := cmplx.Abs(left)/inside, math.Sqrt(squares/inside)
			t.Logf("%s, residual %.2f px; nuclei are %.2f px off, %.2f on average", got.Transform, got.Residual, rms, bias)
			if bias > 0.5 {
				t.Errorf("nuclei are off by %.2f px on average", bias)
			}
			if math.Abs(got.Residual-rms) > 0.3*rms {
				t.Errorf("the residual is %.2f px; nuclei are %.2f px off", got.Residual, rms)
			}
		})
	}
}

// Two tissues don't register, nor does glass: there is no transform to be found.
func TestRegisterOfUnlikeImages(t *testing.T) {
	he, _ := pairOf(t, 0, 256, registration.Identity())
	_, other := pairOf(t, 5, 256, registration.Identity())
	if r, err := registration.Register(he, other); !errors.Is(err, registration.ErrUnlike) {
		t.Errorf("another tissue: %+v, %v", r, err)
	}
	glass := imagefile.New(256, 256)
	for i := range glass.Pix {
		glass.Pix[i] = 240
	}
	if r, err := registration.Register(he, glass); !errors.Is(err, registration.ErrUnlike) {
		t.Errorf("glass: %+v, %v", r, err)
	}
	if _, err := registration.Register(he, imagefile.New(256, 255)); err == nil {
		t.Error("two sizes")
	}
	if _, err := registration.Register(imagefile.New(40, 40), imagefile.New(40, 40)); err == nil {
		t.Error("images that are too small")
	}
}
