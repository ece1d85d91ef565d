package mosaic

import (
	"context"
	"errors"
	"io"
)

// rowReader reads a whole image from the finished regions, row by row, with what is outside the mask.
type rowReader struct {
	*run
	y      int // the next row
	row    int // of regions, the next to open
	end    int // of the open row of regions
	opened []painted
}

// painted is a region that is being read.
type painted struct {
	Rect
	*stripReader
}

func (v *run) reader(g region) (painted, error) {
	p := painted{Rect: v.layout.coreOf(g)}
	file, err := v.store.get(g.name + pixelsFile)
	if err != nil {
		return p, err
	}
	p.stripReader, err = newStripReader(file, p.Width)
	return p, err
}

// next returns the next rows, RGB [n,width,3], or io.EOF.
func (r *rowReader) next(ctx context.Context) ([]uint8, error) {
	l := &r.layout
	if r.y >= l.height {
		return nil, io.EOF
	}
	for r.y == r.end {
		if err := r.open(); err != nil {
			return nil, err
		}
	}
	n := min(stripRows, r.end-r.y)
	rows := make([]uint8, n*3*l.width)
	if err := r.background(ctx, rows, r.y, n); err != nil {
		return nil, err
	}
	for _, p := range r.opened {
		stain := make([]uint8, 3*p.Width)
		for i := range n {
			if err := p.next(stain); err != nil {
				return nil, err
			}
			r.Mask.runs(r.y+i, p.X, p.X+p.Width, func(from, to int) {
				copy(rows[(i*l.width+from)*3:(i*l.width+to)*3], stain[(from-p.X)*3:])
			})
		}
	}
	r.y += n
	return rows, nil
}

// open opens the next row of regions.
func (r *rowReader) open() error {
	if err := r.close(); err != nil {
		return err
	}
	for _, g := range r.regions {
		if g.row != r.row {
			continue
		}
		p, err := r.reader(g)
		if err != nil {
			return err
		}
		r.opened = append(r.opened, p)
	}
	_, end := r.layout.down.core(r.row)
	r.end = min(end*r.layout.factor, r.layout.height)
	r.row++
	return nil
}

func (r *rowReader) close() (err error) {
	for _, p := range r.opened {
		err = errors.Join(err, p.close())
	}
	r.opened = nil
	return err
}

// background fills rows with what is outside the mask.
func (v *run) background(ctx context.Context, rows []uint8, y, n int) error {
	switch v.Settings.Outside {
	case OutsideHE:
		m, err := v.Source.Read(ctx, Rect{0, y, v.layout.width, n})
		if err != nil {
			return err
		}
		copy(rows, m.Pix)
	case OutsideGrey:
		fill(rows, 192)
	default:
		fill(rows, 255)
	}
	return nil
}

func fill(b []uint8, value uint8) {
	for i := range b {
		b[i] = value
	}
}
