// Package tally measures the stain of a part of a slide that may be larger than memory, tile by tile, with the
// definitions of an evaluation: which pixels DAB stains (package stain), which nuclei there are and how strongly it
// stains each (package nuclei).
//
// Of a part that is one tile, the numbers are those of an image of it. Of larger ones, tiles overlap by more than a
// nucleus and its surroundings, and each nucleus counts where its centre is.
package tally

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
)

// Options say how a stain is measured.
type Options struct {
	MPP         float64       // µm per pixel
	Signal      nuclei.Signal // what nuclei stand out in; "": nuclei.RedDensity
	PositiveDAB float64       // optical density from which DAB is positive; 0: stain.PositiveDAB
	Tile        int           // side of a tile in pixels; 0: 2048, which take about 250 MB
}

// Tally is what was measured.
type Tally struct {
	Pixels   int64   // that count
	Positive int64   // of those, by DAB
	Area     float64 // of the pixels that count, mm²
	nuclei.Grades
}

// PositiveShare is the part of the pixels that DAB stains, 0 to 1; NaN without pixels.
func (t Tally) PositiveShare() float64 { return float64(t.Positive) / float64(t.Pixels) }

const defaultTile = 2048

// Source reads a rectangle of an image.
type Source func(ctx context.Context, r image.Rectangle) (*imagefile.Image, error)

// Part measures the part of an image that is in a rectangle and for which counts is true; nil counts everything. read
// is asked for nothing outside the rectangle, and for no tile in which nothing counts.
func Part(ctx context.Context, r image.Rectangle, read Source, counts func(x, y int) bool, o Options) (Tally, error) {
	if o.PositiveDAB == 0 {
		o.PositiveDAB = stain.PositiveDAB
	}
	if o.Tile == 0 {
		o.Tile = defaultTile
	}
	if !(o.MPP > 0) || o.Tile < 1 || r.Empty() {
		return Tally{}, fmt.Errorf("tally: %v in tiles of %d pixels of %g µm; want more than 0", r, o.Tile, o.MPP)
	}
	if counts == nil {
		counts = func(int, int) bool { return true }
	}
	separator, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		return Tally{}, err
	}
	dab, err := separator.Table(stain.DAB)
	if err != nil {
		return Tally{}, err
	}
	m := measure{Options: o, separator: separator, dab: dab, counts: counts, read: read, whole: r}
	for y := r.Min.Y; y < r.Max.Y; y += o.Tile {
		for x := r.Min.X; x < r.Max.X; x += o.Tile {
			core := image.Rect(x, y, x+o.Tile, y+o.Tile).Intersect(r)
			if err := m.tile(ctx, core); err != nil {
				return Tally{}, err
			}
		}
	}
	m.tally.Area = float64(m.tally.Pixels) * o.MPP * o.MPP / 1e6
	return m.tally, nil
}

// measure is a call of Part.
type measure struct {
	Options
	separator *stain.Separator
	dab       *stain.Table
	counts    func(x, y int) bool
	read      Source
	whole     image.Rectangle
	tally     Tally
}

// tile measures one part, which is looked at as a whole.
func (m *measure) tile(ctx context.Context, core image.Rectangle) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if !m.any(core) {
		return nil
	}
	seen := core.Inset(-int(math.Ceil(nuclei.Reach / m.MPP))).Intersect(m.whole)
	img, err := m.read(ctx, seen)
	if err != nil {
		return err
	}
	if img.Width != seen.Dx() || img.Height != seen.Dy() {
		return fmt.Errorf("tally: %d×%d pixels for %v", img.Width, img.Height, seen)
	}
	for y := core.Min.Y; y < core.Max.Y; y++ {
		row := img.Pix[((y-seen.Min.Y)*img.Width+core.Min.X-seen.Min.X)*3:]
		for x := core.Min.X; x < core.Max.X; x++ {
			if m.counts(x, y) {
				m.tally.Pixels++
				if p := row[3*(x-core.Min.X):]; m.dab.At(p[0], p[1], p[2]) >= m.PositiveDAB {
					m.tally.Positive++
				}
			}
		}
	}
	d, err := nuclei.Detect(img, m.separator, nuclei.Options{MPP: m.MPP, Signal: m.Signal})
	if err != nil {
		return err
	}
	kept := d.Nuclei[:0]
	for _, n := range d.Nuclei {
		at := image.Pt(seen.Min.X+int(n.X), seen.Min.Y+int(n.Y))
		if at.In(core) && m.counts(at.X, at.Y) {
			kept = append(kept, n)
		}
	}
	d.Nuclei = kept
	g, err := d.Grade(nuclei.QuPathThresholds())
	if err != nil {
		return err
	}
	m.tally.Negative += g.Negative
	m.tally.Weak += g.Weak
	m.tally.Moderate += g.Moderate
	m.tally.Strong += g.Strong
	return nil
}

// any reports whether anything of a tile counts.
func (m *measure) any(core image.Rectangle) bool {
	for y := core.Min.Y; y < core.Max.Y; y++ {
		for x := core.Min.X; x < core.Max.X; x++ {
			if m.counts(x, y) {
				return true
			}
		}
	}
	return false
}

// Scores are those of the nuclei; ok is false without any.
func (t Tally) Scores() (s nuclei.Scores, ok bool, err error) {
	s, err = t.Grades.Scores()
	if errors.Is(err, nuclei.ErrNoNuclei) {
		return s, false, nil
	}
	return s, err == nil, err
}
