package tiff

import (
	"cmp"
	"math"
	"slices"
)

// Levels returns the main image (see Main) and the smaller versions of it, largest first: tiled pages and sub-images
// whose width and height are the main's divided by one factor. Where a page and a sub-image have the same size the page
// counts. Thumbnails in strips, labels and masks are not among them.
func (f *File) Levels() ([]*Page, error) {
	base, _, err := f.Main()
	if err != nil {
		return nil, err
	}
	levels := []*Page{base}
	var subs []*Page
	for _, p := range f.Pages {
		if p.isLevelOf(base) {
			levels = append(levels, p)
		}
		subs = append(subs, p.SubImages...)
	}
	for _, p := range subs {
		if p.isLevelOf(base) {
			levels = append(levels, p)
		}
	}
	slices.SortStableFunc(levels, func(a, b *Page) int { return cmp.Compare(b.Width, a.Width) })
	return slices.CompactFunc(levels, func(a, b *Page) bool { return a.Width == b.Width && a.Height == b.Height }), nil
}

// isLevelOf reports whether a page is a smaller version of base. Sides are rounded down or up once a level, so they are
// within two pixels of one factor.
func (p *Page) isLevelOf(base *Page) bool {
	if p == base || !p.tiled || p.mask || p.Width < 1 || p.Width >= base.Width || p.Height >= base.Height {
		return false
	}
	const slack = 2
	factor := float64(base.Width) / float64(p.Width)
	if base.Height > base.Width {
		factor = float64(base.Height) / float64(p.Height)
	}
	near := func(side, of int) bool { return math.Abs(float64(side)-float64(of)/factor) <= slack }
	return near(p.Width, base.Width) && near(p.Height, base.Height)
}
