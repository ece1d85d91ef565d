package mosaic

import (
	"context"
	"fmt"
	"math"

	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/internal/pillow"
)

// tiled is a Sink that cuts rows into the tiles of a slide.
type tiled struct {
	w             *tiff.SlideWriter
	width, height int
	row           int     // of tiles
	band          []uint8 // the rows of it so far
}

// Write takes rows. A row of tiles is written when it is complete.
func (t *tiled) Write(ctx context.Context, rows []uint8) error {
	for len(rows) > 0 {
		full := min(tiff.SlideTile, t.height-t.row*tiff.SlideTile) * 3 * t.width
		if full <= 0 {
			return fmt.Errorf("more rows than the %d of the slide", t.height)
		}
		n := min(len(rows), full-len(t.band))
		t.band = append(t.band, rows[:n]...)
		rows = rows[n:]
		if len(t.band) < full {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (t *tiled) flush() error {
	columns, _ := t.w.Tiles()
	for column := range columns {
		r := t.w.Tile(column, t.row)
		pix := make([]uint8, 0, 3*r.Dx()*r.Dy())
		for y := range r.Dy() {
			pix = append(pix, t.band[(y*t.width+r.Min.X)*3:][:3*r.Dx()]...)
		}
		if err := t.w.WriteTile(column, t.row, pix); err != nil {
			return err
		}
	}
	t.row++
	t.band = t.band[:0]
	return nil
}

// resized is a Sink that resizes an image while its rows arrive, to the same pixels as the whole image would have.
type resized struct {
	to            Sink
	width, height int     // of what arrives
	toW, toH      int     // of what is passed on
	first         int     // row of the first in pending
	pending       []uint8 // rows of the new width
	done          int     // rows passed on
}

const (
	resizedFilter  = pillow.Bicubic
	resizedSupport = 2
)

// Write takes rows and passes on those that are complete.
func (r *resized) Write(ctx context.Context, rows []uint8) error {
	wide, err := pillow.Resize(
		pillow.Image{Pix: rows, Height: len(rows) / (3 * r.width), Width: r.width, Channels: 3},
		r.toW, len(rows)/(3*r.width), resizedFilter)
	if err != nil {
		return err
	}
	r.pending = append(r.pending, wide.Pix...)
	scale := float64(r.height) / float64(r.toH)
	margin := int(math.Ceil(resizedSupport*max(scale, 1))) + 1
	for r.done < r.toH {
		n := min(stripRows, r.toH-r.done)
		from, to := float64(r.done)*scale, float64(r.done+n)*scale
		if r.done+n == r.toH {
			to = float64(r.height)
		}
		end := min(int(math.Ceil(to))+margin, r.height)
		have := r.first + len(r.pending)/(3*r.toW)
		if have < end {
			return nil
		}
		src := pillow.Image{
			Pix: r.pending[:(end-r.first)*3*r.toW], Height: end - r.first, Width: r.toW, Channels: 3,
		}
		part := pillow.Part{Y0: from - float64(r.first), X1: float64(r.toW), Y1: to - float64(r.first)}
		out, err := pillow.ResizePart(src, part, r.toW, n, resizedFilter)
		if err != nil {
			return err
		}
		if err := r.to.Write(ctx, out.Pix); err != nil {
			return err
		}
		r.done += n
		if keep := max(int(float64(r.done)*scale)-margin, r.first); keep > r.first {
			r.pending = append(r.pending[:0], r.pending[(keep-r.first)*3*r.toW:]...)
			r.first = keep
		}
	}
	return nil
}
