package slide

import (
	"context"
	"fmt"
	"image"
	"math"

	"github.com/histdist/histdist/data/imagefile"
)

// View is a slide, resized as a whole to Width × Height pixels: pixel (x, y) shows x·sx … (x+1)·sx of level 0, where sx
// is the slide's width divided by the view's, and so for y. Regions that are read one by one fit together.
type View struct {
	Width, Height int
	slide         *Slide
}

// At returns the view with mpp µm per pixel, its sides rounded to whole pixels. It is ErrMPP that the slide's
// micrometres per pixel are not known.
func (s *Slide) At(mpp float64) (View, error) {
	if s.unsized != nil {
		return View{}, s.named(s.unsized)
	}
	if !(mpp > 0) || math.IsInf(mpp, 0) {
		return View{}, fmt.Errorf("slide: %g µm per pixel; want more than 0", mpp)
	}
	side := func(pixels int, have float64) float64 { return max(1, math.Round(float64(pixels)*have/mpp)) }
	width, height := side(s.Width, s.MPP[0]), side(s.Height, s.MPP[1])
	if max(width, height) > math.MaxInt32 {
		return View{}, fmt.Errorf("slide: at %g µm per pixel it would have %.0f×%.0f pixels", mpp, width, height)
	}
	return View{Width: int(width), Height: int(height), slide: s}, nil
}

// Fit returns the largest view, at most of the slide's size, that is at most side pixels wide and high.
func (s *Slide) Fit(side int) View {
	scale := min(1, float64(max(1, side))/float64(max(s.Width, s.Height)))
	scaled := func(pixels int) int { return max(1, int(math.Round(float64(pixels)*scale))) }
	return View{Width: scaled(s.Width), Height: scaled(s.Height), slide: s}
}

// Whole returns the view of the slide's own size: its pixels are level 0's.
func (s *Slide) Whole() View { return View{Width: s.Width, Height: s.Height, slide: s} }

// Bounds returns the view's pixels.
func (v View) Bounds() image.Rectangle { return image.Rect(0, 0, v.Width, v.Height) }

// Scale returns how many pixels of level 0 a pixel of the view shows, in x and y.
func (v View) Scale() (x, y float64) {
	return float64(v.slide.Width) / float64(v.Width), float64(v.slide.Height) / float64(v.Height)
}

// Read reads a rectangle of the view. What lies outside the slide is white.
func (v View) Read(ctx context.Context, r image.Rectangle) (*imagefile.Image, error) {
	inside := r.Intersect(v.Bounds())
	sx, sy := v.Scale()
	part := area{float64(inside.Min.X) * sx, float64(inside.Min.Y) * sy, sx, sy}
	img, err := v.slide.read(ctx, part, inside.Dx(), inside.Dy(), r.Dx(), r.Dy(), inside.Min.Sub(r.Min))
	return img, v.slide.named(err)
}

// ReadRegion reads a rectangle of level 0, resized to width × height pixels. What lies outside the slide is white.
func (s *Slide) ReadRegion(ctx context.Context, r image.Rectangle, width, height int) (*imagefile.Image, error) {
	if r.Empty() || width < 1 || height < 1 {
		return nil, fmt.Errorf("slide: a region of %d×%d pixels, as %d×%d; want at least one", r.Dx(), r.Dy(), width, height)
	}
	sx, sy := float64(r.Dx())/float64(width), float64(r.Dy())/float64(height)
	// The pixels of the result that show any of the slide.
	first := func(from int, scale float64) int { return max(0, int(math.Floor(float64(-from)/scale))) }
	last := func(from, to int, scale float64, n int) int {
		return min(n, int(math.Ceil(float64(to-from)/scale)))
	}
	inside := image.Rectangle{
		Min: image.Pt(first(r.Min.X, sx), first(r.Min.Y, sy)),
		Max: image.Pt(last(r.Min.X, s.Width, sx, width), last(r.Min.Y, s.Height, sy, height)),
	}
	if inside.Empty() || !r.Overlaps(s.Bounds()) {
		inside = image.Rectangle{}
	}
	part := area{float64(r.Min.X) + float64(inside.Min.X)*sx, float64(r.Min.Y) + float64(inside.Min.Y)*sy, sx, sy}
	img, err := s.read(ctx, part, inside.Dx(), inside.Dy(), width, height, inside.Min)
	return img, s.named(err)
}
