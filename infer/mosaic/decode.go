package mosaic

import (
	"context"
	"fmt"
	"slices"

	"github.com/histdist/histdist/infer"
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
	band := struct {
		y      int       // its first row on the image
		values []float32 // [side,width,3]
		total  []float32 // [side,width]
	}{top, make([]float32, side*width*3), make([]float32, side*width)}
	flush := func(to int) error { // what is above a row is complete
		to = min(to, top+height)
		n := to - band.y
		if n <= 0 {
			return nil
		}
		rows := make([]uint8, n*width*3)
		for i := range n * width {
			for k := range 3 {
				rows[i*3+k] = level(band.values[i*3+k], band.total[i])
			}
		}
		copy(band.values, band.values[n*width*3:])
		clear(band.values[len(band.values)-n*width*3:])
		copy(band.total, band.total[n*width:])
		clear(band.total[len(band.total)-n*width:])
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
				for y := max(t.at.y*f, band.y); y < min(t.at.y*f+side, top+height); y++ {
					row := y - band.y
					if row >= side {
						return fmt.Errorf("row %d of a band of %d", row, side)
					}
					for x := max(t.at.x*f, left); x < min(t.at.x*f+len(over), left+width); x++ {
						w := down[y-t.at.y*f] * over[x-t.at.x*f]
						to, from := (row*width+x-left)*3, ((y-t.at.y*f)*len(over)+x-t.at.x*f)*3
						band.total[row*width+x-left] += w
						for k := range 3 {
							band.values[to+k] += float32(w * values[from+k])
						}
					}
				}
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

// level is the level of a weighted sum of decoded values; white where nothing was decoded.
func level(sum, total float32) uint8 {
	if total == 0 {
		return 255
	}
	return infer.Level(sum / total)
}
