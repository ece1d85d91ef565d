package registration

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
)

// ErrUnlike says that two images don't show the same tissue, or too little of it to tell.
var ErrUnlike = errors.New("the images don't show the same tissue, or too little of it")

// Result is how an IHC image lies off its H&E image.
type Result struct {
	Transform
	// Residual is what the transform leaves, as stretched sections have: the root of the mean squared distance of parts
	// from where it says, in pixels. 0.1 to 0.3 are the method's own.
	Residual float64 `json:"residual"`
	// Parts of the image agree with the transform, of 25; the others show little tissue, or something else.
	Parts int `json:"parts"`
}

const (
	smallest   = 2 * smallestPatch // side of an image that can be registered
	coarseSide = 512               // of the reduced image that the whole is registered with
	coarseBlur = 1.5               // see correlate
	fewest     = 5                 // parts that must agree
)

// Register finds how the IHC image of a pair lies off its H&E image: shifts up to about a third of the image's side,
// rotations up to 45° and scales from about 0.7 to 1.4. ErrUnlike is wrapped if there is no telling.
func Register(he, ihc *imagefile.Image) (Result, error) {
	a, b, err := densities(he, ihc)
	if err != nil {
		return Result{}, err
	}
	t, err := coarse(a, b)
	if err != nil {
		return Result{}, err
	}
	parts := newPatches(a)
	r := Result{Transform: t}
	for range 3 {
		f := fitShifts(parts.find(b.moved(r.Transform)))
		if f.agree < fewest {
			return Result{}, fmt.Errorf("%w: %d of %d parts agree on how one lies off the other, want %d", ErrUnlike,
				f.agree, patchesAcross*patchesAcross, fewest)
		}
		r = Result{r.after(f.turn, f.shift), f.residual, f.agree}
	}
	return r, nil
}

// Coarse is Register to about a pixel in 512, in a fifth of the time.
func Coarse(he, ihc *imagefile.Image) (Transform, error) {
	a, b, err := densities(he, ihc)
	if err != nil {
		return Transform{}, err
	}
	return coarse(a, b)
}

func densities(he, ihc *imagefile.Image) (a, b plane, err error) {
	if err := errors.Join(he.Check(), ihc.Check()); err != nil {
		return a, b, err
	}
	if he.Width != ihc.Width || he.Height != ihc.Height {
		return a, b, fmt.Errorf("registration: images of %d×%d and %d×%d pixels: want one size", he.Width, he.Height,
			ihc.Width, ihc.Height)
	}
	if min(he.Width, he.Height) < smallest {
		return a, b, fmt.Errorf("registration: images of %d×%d pixels: want %d or more in each direction", he.Width,
			he.Height, smallest)
	}
	if a, err = haematoxylin(he, stain.QuPathHE()); err != nil {
		return a, b, err
	}
	b, err = haematoxylin(ihc, stain.QuPathHDAB())
	return a, b, err
}

// coarse registers the whole images, reduced, without rotation and with the rotation that the spectra suggest.
func coarse(a, b plane) (Transform, error) {
	factor := (max(a.width, a.height) + coarseSide - 1) / coarseSide
	a, b = a.reduced(factor), b.reduced(factor)
	side := 1
	for side < max(a.width, a.height) {
		side *= 2
	}
	f := newTransform2D(side, side)
	still, moving := f.spectrum(a), f.spectrum(b)
	best, score := Identity(), 0.0
	try := func(t Transform, spectrum []complex128) {
		k := f.correlate(still, spectrum, coarseBlur)
		if k.score > score {
			best, score = t.after(1, complex(k.x, k.y)), k.score
		}
	}
	try(Identity(), moving)
	turned := f.turned(still, moving)
	try(turned, f.spectrum(b.moved(turned)))
	if score < distinct {
		return Transform{}, fmt.Errorf("%w: their correlation has no peak (%.1f standard deviations, want %.1f)", ErrUnlike,
			score, distinct)
	}
	best.DX, best.DY = best.DX*float64(factor), best.DY*float64(factor)
	return best, nil
}
