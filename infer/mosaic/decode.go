package mosaic

import (
	"context"
	"fmt"
	"slices"

	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/parallel"
)

// decode paints an area of an image, a band of rows at a time: latents returns those of any area. rows are RGB
// [n,width,3], whose first row is y, in pixels from the area's top.
func (s *sampler) decode(ctx context.Context, l *layout, core area, latents func(area) ([]float32, error),
	emit func(rows []uint8) error,
) error {
	f := l.factor
	top, left := core.y*f, core.x*f
	height, width := min(core.h*f, l.height-top), min(core.w*f, l.width-left)
	side := l.rows.window * f
	band := struct { // the rows that windows are added to, each at its number on the image modulo side
		y      int       // the first
		values []float32 // [side,width,3]
		total  []float32 // [side,width]
	}{top, make([]float32, side*width*3), make([]float32, side*width)}
	place := func(y, x int) int { return y%side*width + x - left } // of a pixel in total
	flush := func(to int) error {                                  // what is above a row is complete
		to = min(to, top+height)
		n := to - band.y
		if n <= 0 {
			return nil
		}
		rows := make([]uint8, n*width*3)
		parallel.Ranges(n, blendPixels/width+1, func(first, end int) {
			for y := first; y < end; y++ {
				at := place(band.y+y, left)
				total, sum := band.total[at:at+width], band.values[3*at:3*(at+width)]
				levels(rows[y*3*width:(y+1)*3*width], sum, total)
				clear(total)
				clear(sum)
			}
		})
		band.y = to
		return emit(rows)
	}
	firstCol, endCol := l.cols.within(core.x, core.x+core.w)
	firstRow, endRow := l.rows.within(core.y, core.y+core.h)
	for r := firstRow; r < endRow; r++ {
		if err := flush(max(l.rows.starts[r]*f, top)); err != nil {
			return err
		}
		tiles := l.tiles(span{r, r + 1}, span{firstCol, endCol}, 0, 0)
		down := l.rows.weights(r, f)
		for first := 0; first < len(tiles); first += s.batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			batch := tiles[first:min(first+s.batch, len(tiles))]
			var input []float32
			for _, t := range batch {
				v, err := latents(t.at)
				if err != nil {
					return err
				}
				input = append(input, v...)
			}
			out, err := s.Decode(ctx, len(batch), input)
			if err != nil {
				return err
			}
			n := len(out) / len(batch)
			for i, t := range batch {
				over := l.cols.weights(slices.Index(l.cols.starts, t.at.x), f)
				values := out[i*n : (i+1)*n]
				if low := min(t.at.y*f+side, top+height); low > band.y+side {
					return fmt.Errorf("row %d of a band of %d", low-band.y-1, side)
				}
				x0, x1 := max(t.at.x*f, left), min(t.at.x*f+len(over), left+width)
				y0 := max(t.at.y*f, band.y)
				parallel.Ranges(min(t.at.y*f+side, top+height)-y0, blendPixels/side+1, func(first, end int) {
					for y := y0 + first; y < y0+end; y++ {
						at := place(y, x0)
						total := band.total[at : at+x1-x0]
						sum := band.values[3*at : 3*(at+x1-x0)]
						add(sum, total, values[((y-t.at.y*f)*len(over)+x0-t.at.x*f)*3:], over[x0-t.at.x*f:], down[y-t.at.y*f])
					}
				})
			}
		}
	}
	for band.y < top+height {
		if err := flush(band.y + side); err != nil {
			return err
		}
	}
	return nil
}

// blendPixels is how many pixels a goroutine blends at a time.
const blendPixels = 1 << 14

// add adds a row of a window's pixels to sums: values RGB with the weight of each, which is added to total.
func add(sum, total, values, over []float32, down float32) {
	values, over = values[:len(sum)], over[:len(total)]
	for x, o := range over {
		w := down * o
		total[x] += w
		v, s := values[3*x:3*x+3:3*x+3], sum[3*x:3*x+3:3*x+3]
		s[0] += float32(w * v[0])
		s[1] += float32(w * v[1])
		s[2] += float32(w * v[2])
	}
}

// levels are those of weighted sums of decoded values, RGB; white where nothing was decoded.
func levels(dst []uint8, sum, total []float32) {
	for x, t := range total {
		to, s := dst[3*x:3*x+3:3*x+3], sum[3*x:3*x+3:3*x+3]
		if t == 0 {
			to[0], to[1], to[2] = 255, 255, 255
			continue
		}
		to[0], to[1], to[2] = infer.Level(s[0]/t), infer.Level(s[1]/t), infer.Level(s[2]/t)
	}
}
