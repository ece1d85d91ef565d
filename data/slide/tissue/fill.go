package tissue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/histdist/histdist/data/slide"
)

// ErrOutside says that an area lies outside the slide.
var ErrOutside = errors.New("outside the slide")

// Fill returns the mask of areas: the pixels whose middle is inside. Areas of classes that end in an asterisk, QuPath's
// Ignore*, are taken out of the others. It is ErrOutside that an area shows nothing of the slide: it was drawn on
// another one, or its coordinates are µm.
func Fill(ctx context.Context, s *slide.Slide, areas []Area) (*Mask, error) {
	m, toggles := newMask(s), []bool(nil)
	ignored := newMask(s)
	for i, a := range areas {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if !a.Polygon.overlaps(s) {
			return nil, fmt.Errorf("area %d, of the class %q: %w of %d×%d pixels: "+
				"coordinates are pixels of the full resolution", i+1, a.Class, ErrOutside, s.Width, s.Height)
		}
		into := m
		if strings.HasSuffix(a.Class, "*") {
			into = ignored
		}
		toggles = into.fill(a.Polygon, toggles)
	}
	for i, out := range ignored.In {
		m.In[i] = m.In[i] && !out
	}
	return m, nil
}

// overlaps reports whether the box around a polygon has any of the slide.
func (p Polygon) overlaps(s *slide.Slide) bool {
	low, high := Point{math.Inf(1), math.Inf(1)}, Point{math.Inf(-1), math.Inf(-1)}
	for _, ring := range p {
		for _, at := range ring {
			for i := range 2 {
				low[i], high[i] = min(low[i], at[i]), max(high[i], at[i])
			}
		}
	}
	return high[0] > 0 && high[1] > 0 && low[0] < float64(s.Width) && low[1] < float64(s.Height)
}

// fill adds a polygon by the even-odd rule. In each row that an edge crosses it changes the state of the pixels to its
// right. toggles is memory for that, and returned.
func (m *Mask) fill(p Polygon, toggles []bool) []bool {
	if len(toggles) == 0 {
		toggles = make([]bool, len(m.In))
	}
	scaleX, scaleY := float64(m.Width)/float64(m.SlideWidth), float64(m.Height)/float64(m.SlideHeight)
	// firstAfter is the first pixel, of at most n, whose middle is at or after v.
	firstAfter := func(v float64, n int) int { return int(min(max(math.Ceil(v-0.5), 0), float64(n))) }
	top, bottom := m.Height, 0
	for _, ring := range p {
		for i, a := range ring {
			b := ring[(i+1)%len(ring)]
			if a[1] > b[1] {
				a, b = b, a
			}
			ax, ay, bx, by := a[0]*scaleX, a[1]*scaleY, b[0]*scaleX, b[1]*scaleY
			from, to := firstAfter(ay, m.Height), firstAfter(by, m.Height)
			top, bottom = min(top, from), max(bottom, to)
			for y := from; y < to; y++ {
				x := ax + (float64(y)+0.5-ay)/(by-ay)*(bx-ax)
				if at := firstAfter(x, m.Width); at < m.Width {
					toggles[y*m.Width+at] = !toggles[y*m.Width+at]
				}
			}
		}
	}
	for y := top; y < bottom; y++ {
		in := false
		for at := y * m.Width; at < (y+1)*m.Width; at++ {
			in = in != toggles[at]
			toggles[at] = false
			m.In[at] = m.In[at] || in
		}
	}
	return toggles
}
