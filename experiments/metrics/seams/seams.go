// Package seams measures whether the tiles that an image was made of show in it.
//
// Across every tile border the image jumps: in intensity, in its gradient, and in the DAB of what lies left and right.
// So it does across any other line. The jump at borders divided by the jump at lines inside the tiles is 1 if nothing
// shows. Of the H&E, which has no tiles, the same lines give a ratio near 1, by which that of the stain is divided:
// what remains are seams.
package seams

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
)

// Borders are lines between tiles: X between the columns X−1 and X, Y between the rows Y−1 and Y, in pixels.
type Borders struct{ X, Y []int }

// Every returns the borders of square tiles that begin at the top left corner of an image.
func Every(side, width, height int) (b Borders) {
	for x := side; x < width; x += side {
		b.X = append(b.X, x)
	}
	for y := side; y < height; y += side {
		b.Y = append(b.Y, y)
	}
	return b
}

// Jumps are mean jumps at borders, divided by those at other lines.
type Jumps struct {
	Intensity float64 // of the luma from one pixel to the next
	Gradient  float64 // of the luma's differences from one pixel to the next: those across the line and next to it
	Step      float64 // of the mean luma of squares of 16 pixels on both sides
	DAB       float64 // of the mean optical density of DAB of the same squares
}

const (
	square = 16 // side of the squares whose means are compared
	apart  = square
	period = 8 // of the patterns that autoencoders make, in which borders have one phase
)

// Measure returns the jumps of an image at borders. Lines of comparison are at least 16 pixels from any border and from
// the edges, and a multiple of 8 from the nearest border: a decoder's pixels are alike where they have the same place
// in a latent's square, and borders lie between latents. Without such lines, or without borders, it is an error.
func Measure(img *imagefile.Image, b Borders, s *stain.Separator) (Jumps, error) {
	if err := img.Check(); err != nil {
		return Jumps{}, fmt.Errorf("seams: %w", err)
	}
	dab, err := s.Table(stain.DAB)
	if err != nil {
		return Jumps{}, fmt.Errorf("seams: %w", err)
	}
	luma, density := newPlane(img.Width, img.Height), newPlane(img.Width, img.Height)
	for i := range luma.v {
		r, g, b := img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2]
		luma.v[i] = 0.299*float64(r) + 0.587*float64(g) + 0.114*float64(b)
		density.v[i] = dab.At(r, g, b)
	}
	var at, inside sums
	for _, direction := range []struct {
		luma, density plane
		borders       []int
	}{{luma, density, b.X}, {luma.turned(), density.turned(), b.Y}} {
		width := direction.luma.width
		for _, x := range direction.borders {
			if x < 1 || x >= width {
				return Jumps{}, fmt.Errorf("seams: a border at %d of an image of %d pixels", x, width)
			}
		}
		for x := square; x <= width-square; x++ {
			nearest := math.MaxInt
			for _, border := range direction.borders {
				nearest = min(nearest, max(x-border, border-x))
			}
			switch {
			case len(direction.borders) == 0:
			case nearest == 0:
				at.add(direction.luma, direction.density, x)
			case nearest >= apart && nearest%period == 0:
				inside.add(direction.luma, direction.density, x)
			}
		}
	}
	if at.lines == 0 {
		return Jumps{}, errors.New("seams: no borders")
	}
	if inside.lines == 0 {
		return Jumps{}, errors.New("seams: the tiles are too small: no line is 16 pixels from all borders")
	}
	return at.over(inside)
}

// Over divides the jumps of a stain by those of its H&E.
func (j Jumps) Over(he Jumps) Jumps {
	return Jumps{
		j.Intensity / he.Intensity, j.Gradient / he.Gradient, j.Step / he.Step, j.DAB / he.DAB,
	}
}

// Worst is the largest of the jumps.
func (j Jumps) Worst() float64 { return slices.Max([]float64{j.Intensity, j.Gradient, j.Step, j.DAB}) }

// sums are the jumps at vertical lines, added up: those of each line are means.
type sums struct {
	Jumps
	lines float64
}

func (s *sums) add(luma, density plane, x int) {
	var j Jumps
	for y := range luma.height {
		row := luma.v[y*luma.width:]
		j.Intensity += math.Abs(row[x] - row[x-1])
		before, here, after := row[x-1]-row[x-2], row[x]-row[x-1], row[x+1]-row[x]
		j.Gradient += (math.Abs(here-before) + math.Abs(after-here)) / 2
	}
	squares := luma.height / square
	for i := range squares {
		j.Step += math.Abs(luma.mean(x, i*square) - luma.mean(x-square, i*square))
		j.DAB += math.Abs(density.mean(x, i*square) - density.mean(x-square, i*square))
	}
	pixels, n := float64(luma.height), float64(max(squares, 1))
	s.Intensity += j.Intensity / pixels
	s.Gradient += j.Gradient / pixels
	s.Step += j.Step / n
	s.DAB += j.DAB / n
	s.lines++
}

// over divides means by means.
func (s sums) over(other sums) (Jumps, error) {
	scale := other.lines / s.lines
	j := s.Over(other.Jumps)
	j = Jumps{j.Intensity * scale, j.Gradient * scale, j.Step * scale, j.DAB * scale}
	for _, v := range []float64{j.Intensity, j.Gradient, j.Step, j.DAB} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return Jumps{}, errors.New("seams: the image is flat inside the tiles, so that nothing can be compared")
		}
	}
	return j, nil
}

// plane is one value for each pixel.
type plane struct {
	width, height int
	v             []float64
}

func newPlane(width, height int) plane { return plane{width, height, make([]float64, width*height)} }

// turned swaps rows and columns.
func (p plane) turned() plane {
	t := newPlane(p.height, p.width)
	for y := range p.height {
		for x := range p.width {
			t.v[x*p.height+y] = p.v[y*p.width+x]
		}
	}
	return t
}

// mean is that of a square.
func (p plane) mean(x, y int) float64 {
	var sum float64
	for i := range square {
		for _, v := range p.v[(y+i)*p.width+x:][:square] {
			sum += v
		}
	}
	return sum / (square * square)
}
