package mosaic

import (
	"fmt"

	"github.com/histdist/histdist/infer"
)

// layout is how an image is divided. Places and lengths are in latents unless they are said to be pixels.
type layout struct {
	width, height int // of the image in pixels
	factor        int // pixels for each latent
	side          int // of a window, where the image is as large
	mask          Mask
	rows, cols    axis
	regionRows    []span
	regionCols    []span
	down, across  axis   // the regions: hand-overs between them
	needed        []bool // of [rows,cols]: windows that touch the mask
	alone         int    // needed windows of a grid without overlaps
}

// newLayout divides an image into windows of window pixels and regions of at most region pixels.
func newLayout(width, height, factor, window int, s Settings, mask Mask) layout {
	l := layout{width: width, height: height, factor: factor, side: max(window/factor, 1), mask: mask}
	l.divide(Settings{Independent: true}, 0)
	l.alone = l.windows()
	overlap := int(s.Overlap * float64(l.side))
	switch {
	case s.Independent:
		overlap = 0
	case s.Overlap <= usualOverlap:
		overlap = l.affordable(s, overlap)
	}
	l.divide(s, overlap)
	return l
}

// divide places windows that overlap by so many latents or a little more, and groups them into regions.
func (l *layout) divide(s Settings, overlap int) {
	up := func(n int) int { return (n + l.factor - 1) / l.factor }
	l.rows, l.cols = newAxis(up(l.height), l.side, overlap), newAxis(up(l.width), l.side, overlap)
	if by := int(s.Shift * float64(l.side-overlap)); by > 0 {
		l.rows, l.cols = l.rows.shifted(by), l.cols.shifted(by)
	}
	if s.Independent {
		l.rows, l.cols = l.rows.sharp(), l.cols.sharp()
	}
	l.regions(s, l.side-overlap)
	l.mark()
}

// regions groups windows into regions of at most s.Region pixels that share a row or column of windows.
func (l *layout) regions(s Settings, stride int) {
	n := 1 << 30
	if s.Region > 0 {
		n = max((s.Region/l.factor-l.side)/stride+1, 2)
	}
	l.regionRows, l.regionCols = l.rows.grouped(n), l.cols.grouped(n)
	l.down, l.across = l.rows.around(l.regionRows), l.cols.around(l.regionCols)
}

// mark finds the windows that touch the mask.
func (l *layout) mark() {
	l.needed = make([]bool, len(l.rows.starts)*len(l.cols.starts))
	for r := range l.rows.starts {
		for c := range l.cols.starts {
			l.needed[r*len(l.cols.starts)+c] = l.mask.touches(l.pixels(r, c))
		}
	}
}

// pixels are those of a window, without what reaches beyond the image.
func (l *layout) pixels(r, c int) Rect {
	f := l.factor
	y, x := l.rows.starts[r]*f, l.cols.starts[c]*f
	return Rect{x, y, min(l.cols.window*f, l.width-x), min(l.rows.window*f, l.height-y)}
}

func (l *layout) need(r, c int) bool { return l.needed[r*len(l.cols.starts)+c] }

// windows is how many are needed.
func (l *layout) windows() int {
	return l.count(span{0, len(l.rows.starts)}, span{0, len(l.cols.starts)})
}

// count is how many needed windows there are in spans of rows and columns.
func (l *layout) count(rows, cols span) (n int) {
	for r := rows.first; r < rows.end; r++ {
		for c := cols.first; c < cols.end; c++ {
			if l.need(r, c) {
				n++
			}
		}
	}
	return n
}

// computed is how many windows all regions have: those that regions share count for each.
func (l *layout) computed() (n int) {
	for _, rows := range l.regionRows {
		for _, cols := range l.regionCols {
			n += l.count(rows, cols)
		}
	}
	return n
}

// area is a rectangle of latents.
type area struct{ y, x, h, w int }

// region is a part of the image that is translated at once.
type region struct {
	name       string
	row, col   int  // among regions
	rows, cols span // its windows
	area       area // that they cover
	core       area // what it alone owns
}

// tile is a window in a canvas.
type tile struct {
	y, x       int  // in the canvas
	at         area // on the image
	pixels     Rect
	down, over []float32 // weights of its rows and columns
}

// tiles are the needed windows of spans of rows and columns, in a canvas whose origin is at y, x.
func (l *layout) tiles(rows, cols span, y, x int) (list []tile) {
	down, over := make([][]float32, rows.end), make([][]float32, cols.end)
	for r := rows.first; r < rows.end; r++ {
		down[r] = l.rows.weights(r, 1)
	}
	for c := cols.first; c < cols.end; c++ {
		over[c] = l.cols.weights(c, 1)
	}
	for r := rows.first; r < rows.end; r++ {
		for c := cols.first; c < cols.end; c++ {
			if !l.need(r, c) {
				continue
			}
			at := area{l.rows.starts[r], l.cols.starts[c], l.rows.window, l.cols.window}
			list = append(list, tile{at.y - y, at.x - x, at, l.pixels(r, c), down[r], over[c]})
		}
	}
	return list
}

// covered marks the latents [h,w] of an area that tiles cover with a weight.
func (a area) covered(tiles []tile) []bool {
	marks := make([]bool, a.h*a.w)
	for _, t := range tiles {
		for i, down := range t.down {
			for j, over := range t.over {
				y, x := t.at.y+i-a.y, t.at.x+j-a.x
				if down*over > 0 && y >= 0 && y < a.h && x >= 0 && x < a.w {
					marks[y*a.w+x] = true
				}
			}
		}
	}
	return marks
}

// masked marks the covered latents [h,w] of an area with pixels that the mask names.
func (l *layout) masked(a area, covered []bool) []bool {
	marks, f := make([]bool, len(covered)), l.factor
	for i, c := range covered {
		if c {
			y, x := (a.y+i/a.w)*f, (a.x+i%a.w)*f
			marks[i] = l.mask.touches(Rect{x, y, min(f, l.width-x), min(f, l.height-y)})
		}
	}
	return marks
}

// list are the regions that have windows to compute, in rows.
func (l *layout) list() (regions []region) {
	for i, rows := range l.regionRows {
		for j, cols := range l.regionCols {
			if l.count(rows, cols) == 0 {
				continue
			}
			g := region{name: fmt.Sprintf("r%03dc%03d", i, j), row: i, col: j, rows: rows, cols: cols}
			g.area = area{y: l.rows.starts[rows.first], x: l.cols.starts[cols.first]}
			g.area.h = l.rows.starts[rows.end-1] + l.rows.window - g.area.y
			g.area.w = l.cols.starts[cols.end-1] + l.cols.window - g.area.x
			top, bottom := l.down.core(i)
			left, right := l.across.core(j)
			g.core = area{top, left, bottom - top, right - left}
			regions = append(regions, g)
		}
	}
	return regions
}

// painting are the windows that meet a region's core: it is painted with all of them.
func (l *layout) painting(g region) (rows, cols span) {
	rows.first, rows.end = l.rows.within(g.core.y, g.core.y+g.core.h)
	cols.first, cols.end = l.cols.within(g.core.x, g.core.x+g.core.w)
	return rows, cols
}

// halo is what is read of the latents to paint a region's core.
func (l *layout) halo(g region) area {
	rows, cols := l.painting(g)
	a := area{y: l.rows.starts[rows.first], x: l.cols.starts[cols.first]}
	a.h = l.rows.starts[rows.end-1] + l.rows.window - a.y
	a.w = l.cols.starts[cols.end-1] + l.cols.window - a.x
	return a
}

// meets reports whether two areas have latents in common.
func (a area) meets(b area) bool {
	return a.y < b.y+b.h && b.y < a.y+a.h && a.x < b.x+b.w && b.x < a.x+a.w
}

// coreOf is a region's core in pixels.
func (l *layout) coreOf(g region) Rect {
	f := l.factor
	y, x := g.core.y*f, g.core.x*f
	return Rect{x, y, min(g.core.w*f, l.width-x), min(g.core.h*f, l.height-y)}
}

// calls are those of the U-Net for a region.
func (l *layout) calls(s infer.Settings, g region) int64 {
	return int64(l.count(g.rows, g.cols)) * int64(s.Calls())
}
