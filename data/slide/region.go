package slide

import (
	"context"
	"fmt"
	"image"
	"math"
	"runtime"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/parallel"
	"github.com/histdist/histdist/internal/pillow"
)

const (
	maxRegion = 1 << 28 // pixels of a region in memory, 805 MB

	pieceSide = 1024 // of what is resampled at once, in pixels of the level or of its reduction
	blockSide = 2048 // of what is read of a level at once, in pixels

	// reducingGap is Pillow's: how many reduced pixels a pixel is at least made of. From 3 on the result can hardly be
	// told from one without a reduction.
	reducingGap = 3

	// enlarged is by how much a level may be enlarged where the next larger one would be shrunk.
	enlarged = 1.02

	// filter is what regions are resampled with: antialiased, since it widens with the scale, and without Lanczos's
	// third lobe, which rings at the edges of tissue.
	filter        = pillow.Bicubic
	filterSupport = 2
)

// area is a part of level 0: its corner, and how many pixels one of the result shows.
type area struct{ x, y, sx, sy float64 }

// sampling says which level a result is made of, and how.
type sampling struct {
	level  int
	reduce int     // that many pixels of the level in x and y are averaged first
	dx, dy float64 // pixels of level 0 in such a mean
}

// sampling chooses the smallest level that is hardly enlarged, and averages what would be shrunk much.
func (s *Slide) sampling(p area) sampling {
	best := 0
	for i, l := range s.info.Levels {
		if l.Downsample[0] <= p.sx*enlarged && l.Downsample[1] <= p.sy*enlarged &&
			l.Downsample[0] > s.info.Levels[best].Downsample[0] {
			best = i
		}
	}
	d := s.info.Levels[best].Downsample
	reduce := max(1, int(min(p.sx/d[0], p.sy/d[1])/reducingGap))
	return sampling{best, reduce, d[0] * float64(reduce), d[1] * float64(reduce)}
}

// read makes an image of the size of full, white but for the w×h pixels from at on, which show the area from its corner
// on.
func (s *Slide) read(ctx context.Context, p area, w, h, fullW, fullH int, at image.Point) (*imagefile.Image, error) {
	if fullW < 1 || fullH < 1 || fullH > maxRegion/fullW {
		return nil, fmt.Errorf("slide: a region of %d×%d pixels; want 1 to %d", fullW, fullH, maxRegion)
	}
	img := imagefile.New(fullW, fullH)
	if w != fullW || h != fullH {
		for i := range img.Pix {
			img.Pix[i] = 255
		}
	}
	if w < 1 || h < 1 {
		return img, ctx.Err()
	}
	how := s.sampling(p)
	side := min(blockSide, max(1, int(pieceSide/max(p.sx/how.dx, p.sy/how.dy))))
	columns, rows := (w+side-1)/side, (h+side-1)/side
	err := parallel.Each(ctx, columns*rows, runtime.GOMAXPROCS(0), func(i int) error {
		r := image.Rect(0, 0, side, side).Add(image.Pt(i%columns*side, i/columns*side)).Intersect(image.Rect(0, 0, w, h))
		part := area{p.x + float64(r.Min.X)*p.sx, p.y + float64(r.Min.Y)*p.sy, p.sx, p.sy}
		pix, err := s.piece(ctx, how, part, r.Dx(), r.Dy())
		if err != nil {
			return err
		}
		if s.colours != nil {
			s.colours.Convert(pix, pix)
		}
		for y := range r.Dy() {
			copy(img.Pix[((at.Y+r.Min.Y+y)*fullW+at.X+r.Min.X)*3:], pix[y*r.Dx()*3:][:r.Dx()*3])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return img, nil
}

// piece resamples an area to w×h pixels.
func (s *Slide) piece(ctx context.Context, how sampling, p area, w, h int) ([]uint8, error) {
	x0, x1, fromX, toX := span(p.x/how.dx, p.sx/how.dx, w, float64(s.Width)/how.dx)
	y0, y1, fromY, toY := span(p.y/how.dy, p.sy/how.dy, h, float64(s.Height)/how.dy)
	if whole(x0) && whole(y0) && near(x1-x0, float64(w)) && near(y1-y0, float64(h)) { // nothing to resample
		x, y := int(math.Round(x0)), int(math.Round(y0))
		return s.reduced(ctx, how, image.Rect(x, y, x+w, y+h))
	}
	pix, err := s.reduced(ctx, how, image.Rect(fromX, fromY, toX, toY))
	if err != nil {
		return nil, err
	}
	width, height := toX-fromX, toY-fromY
	from := pillow.Image{Pix: pix, Width: width, Height: height, Channels: 3}
	resized, err := pillow.ResizePart(from, pillow.Part{
		X0: x0 - float64(fromX), X1: min(x1-float64(fromX), float64(width)),
		Y0: y0 - float64(fromY), Y1: min(y1-float64(fromY), float64(height)),
	}, w, h, filter)
	return resized.Pix, err
}

// rounding is by how much of a pixel sums may be off.
const rounding = 1e-6

func near(a, b float64) bool { return math.Abs(a-b) < rounding }

func whole(v float64) bool { return near(v, math.Round(v)) }

// span returns where n pixels of a scale, from start on, begin and end, and which pixels the filter needs for them out
// of extent, the slide's side.
func span(start, scale float64, n int, extent float64) (from, to float64, first, end int) {
	from, to = start, start+scale*float64(n)
	reach := filterSupport*max(1, scale) + 1
	last := int(math.Ceil(extent - rounding))
	first = min(max(0, int(math.Floor(from-reach))), int(math.Floor(from)))
	end = max(min(last, int(math.Ceil(to+reach))), int(math.Ceil(to-rounding)))
	return from, to, first, end
}

// reduced reads a rectangle of the means of a level's pixels, RGB [h,w,3]. Beyond the level its last pixels are
// repeated: levels may be shorter than level 0 divided by their factor.
func (s *Slide) reduced(ctx context.Context, how sampling, r image.Rectangle) ([]uint8, error) {
	l := s.info.Levels[how.level]
	n := how.reduce
	bounds := image.Rect(0, 0, l.Width, l.Height)
	inside := r.Intersect(image.Rect(0, 0, (l.Width+n-1)/n, (l.Height+n-1)/n))
	pix := make([]uint8, 3*r.Dx()*r.Dy())
	if inside.Empty() {
		for i := range pix {
			pix[i] = 255
		}
		return pix, nil
	}
	step := max(1, blockSide/n)
	var block []uint8
	for y := inside.Min.Y; y < inside.Max.Y; y += step {
		for x := inside.Min.X; x < inside.Max.X; x += step {
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			means := image.Rect(x, y, x+step, y+step).Intersect(inside)
			source := image.Rect(means.Min.X*n, means.Min.Y*n, means.Max.X*n, means.Max.Y*n).Intersect(bounds)
			if size := 3 * source.Dx() * source.Dy(); cap(block) < size {
				block = make([]uint8, size)
			} else {
				block = block[:size]
			}
			if err := s.reader.Read(ctx, block, how.level, source); err != nil {
				return nil, err
			}
			average(pix[((y-r.Min.Y)*r.Dx()+x-r.Min.X)*3:], r.Dx(), block, source.Dx(), source.Dy(), n)
		}
	}
	repeatEdges(pix, r, inside)
	return pix, nil
}

// average writes the means of n×n pixels of an image RGB [height,width,3] to an image whose rows have stride pixels.
func average(out []uint8, stride int, pix []uint8, width, height, n int) {
	if n == 1 {
		for y := range height {
			copy(out[3*y*stride:], pix[3*y*width:][:3*width])
		}
		return
	}
	columns := (width + n - 1) / n
	sums := make([]uint32, 3*columns)
	for y := 0; y < height; y += n {
		clear(sums)
		rows := min(n, height-y)
		for row := range rows {
			line := pix[3*(y+row)*width:][:3*width]
			for x := range columns {
				var r, g, b uint32
				for part := line[3*x*n : 3*min((x+1)*n, width)]; len(part) >= 3; part = part[3:] {
					r, g, b = r+uint32(part[0]), g+uint32(part[1]), b+uint32(part[2])
				}
				sums[3*x] += r
				sums[3*x+1] += g
				sums[3*x+2] += b
			}
		}
		line := out[3*y/n*stride:][:3*columns]
		for i, sum := range sums {
			count := uint32(rows * min(n, width-i/3*n))
			line[i] = uint8((sum + count/2) / count)
		}
	}
}

// repeatEdges fills an image of the rectangle r from the part of it that is there.
func repeatEdges(pix []uint8, r, inside image.Rectangle) {
	if r == inside {
		return
	}
	width := r.Dx()
	left, right := inside.Min.X-r.Min.X, inside.Max.X-r.Min.X
	for y := inside.Min.Y - r.Min.Y; y < inside.Max.Y-r.Min.Y; y++ {
		line := pix[3*y*width:][:3*width]
		for x := range left {
			copy(line[3*x:3*x+3], line[3*left:])
		}
		for x := right; x < width; x++ {
			copy(line[3*x:3*x+3], line[3*right-3:])
		}
	}
	row := func(y int) []uint8 { return pix[3*y*width:][:3*width] }
	top, bottom := inside.Min.Y-r.Min.Y, inside.Max.Y-r.Min.Y
	for y := range top {
		copy(row(y), row(top))
	}
	for y := bottom; y < r.Dy(); y++ {
		copy(row(y), row(bottom-1))
	}
}
