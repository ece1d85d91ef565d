package tissue

import (
	"image"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
)

// Mask says for the pixels of a small view of a slide which are tissue.
type Mask struct {
	Width, Height           int
	SlideWidth, SlideHeight int    // level 0: the mask shows all of it
	In                      []bool // [Height,Width]
}

// The pixels of masks.
const (
	pixelMicrons = 4    // at least
	maxSide      = 4096 // at most so many
	assumedMPP   = 0.5  // of slides whose pixels have an unknown size
)

// view is the view of a slide that its mask has the pixels of, and the µm per pixel.
func view(s *slide.Slide) (v slide.View, microns float64) {
	mpp := (s.MPP[0] + s.MPP[1]) / 2
	if mpp == 0 {
		mpp = assumedMPP
	}
	longest := max(s.Width, s.Height)
	v = s.Fit(min(maxSide, max(1, int(float64(longest)*mpp/pixelMicrons))))
	return v, mpp * float64(longest) / float64(max(v.Width, v.Height))
}

func newMask(s *slide.Slide) *Mask {
	v, _ := view(s)
	return &Mask{
		Width: v.Width, Height: v.Height, SlideWidth: s.Width, SlideHeight: s.Height, In: make([]bool, v.Width*v.Height),
	}
}

// All returns a mask of which everything is tissue.
func All(s *slide.Slide) *Mask {
	m := newMask(s)
	for i := range m.In {
		m.In[i] = true
	}
	return m
}

// Share returns which share of the slide is tissue, 0 to 1.
func (m *Mask) Share() float64 {
	return m.ShareOf(image.Rect(0, 0, m.SlideWidth, m.SlideHeight))
}

// ShareOf returns which share of a rectangle of level 0 is tissue, 0 to 1. A pixel of the mask counts if the rectangle
// has any of it; what lies outside the slide is no tissue.
func (m *Mask) ShareOf(r image.Rectangle) float64 {
	if r.Empty() {
		return 0
	}
	down := func(v, have, whole int) int { return floorDiv(v*have, whole) }
	up := func(v, have, whole int) int { return -floorDiv(-v*have, whole) }
	part := image.Rect(down(r.Min.X, m.Width, m.SlideWidth), down(r.Min.Y, m.Height, m.SlideHeight),
		up(r.Max.X, m.Width, m.SlideWidth), up(r.Max.Y, m.Height, m.SlideHeight))
	inside := part.Intersect(image.Rect(0, 0, m.Width, m.Height))
	n := 0
	for y := inside.Min.Y; y < inside.Max.Y; y++ {
		for _, in := range m.In[y*m.Width+inside.Min.X : y*m.Width+inside.Max.X] {
			if in {
				n++
			}
		}
	}
	return float64(n) / float64(part.Dx()*part.Dy())
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Image returns the mask as an image: tissue is white, the rest black.
func (m *Mask) Image() *imagefile.Image {
	img := imagefile.New(m.Width, m.Height)
	for i, in := range m.In {
		if in {
			img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2] = 255, 255, 255
		}
	}
	return img
}
