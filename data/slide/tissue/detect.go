package tissue

import (
	"context"
	"math"

	"github.com/histdist/histdist/data/slide"
)

// What detection takes for tissue. The lengths are in µm.
const (
	// Otsu's threshold of saturation is kept within these: on a slide of glass alone it would separate noise, and on
	// one of dark and pale tissue the dark.
	leastSaturation = 15
	mostSaturation  = 50

	closing   = 20.0   // gaps narrower than twice this are closed: between fibres, in fat
	opening   = 8.0    // threads narrower than twice this are removed
	speckArea = 10_000 // µm²: smaller parts are specks
	holeArea  = 5_000  // µm²: smaller holes are filled, others are kept
)

// Detect finds the tissue of a slide on glass: what is saturated, by Otsu's threshold, with gaps closed, specks removed
// and holes kept. Pen marks and coloured dirt are taken for tissue.
func Detect(ctx context.Context, s *slide.Slide) (*Mask, error) {
	v, microns := view(s)
	img, err := v.Read(ctx, v.Bounds())
	if err != nil {
		return nil, err
	}
	m := newMask(s)
	values := saturation(img.Pix)
	var histogram [256]int
	for _, v := range values {
		histogram[v]++
	}
	threshold := min(max(otsu(&histogram), leastSaturation), mostSaturation)
	for i, v := range values {
		m.In[i] = int(v) > threshold
	}
	m.clean(microns)
	return m, ctx.Err()
}

// clean removes what is too small, pixels being so many µm wide.
func (m *Mask) clean(microns float64) {
	pixels := func(area float64) int { return int(math.Ceil(area / (microns * microns))) }
	m.dropSmall(true, 2) // single pixels would grow together
	m.grow(closing / microns)
	m.shrink(closing / microns)
	m.shrink(opening / microns)
	m.grow(opening / microns)
	m.joinCorners()
	m.dropSmall(true, pixels(speckArea))
	m.dropSmall(false, pixels(holeArea))
}
