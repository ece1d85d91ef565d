package mosaic

import (
	"context"
	"errors"
	"image"
	"math"

	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/infer"
)

// Area is what of a file is translated.
type Area struct {
	Mask
	Width, Height int             // of the image at the model's resolution, which the mask's pixels are of
	File          image.Rectangle // the file's own pixels
	Scale         [2]float64      // of those, for each of the mask's, in x and y
	MPP           float64         // µm per pixel of the mask's; 0 if it is unknown
}

// TissueOf returns where a slide has tissue, within the areas to translate: see FileOptions.Found. It is nil for an
// image that is no slide.
func TissueOf(ctx context.Context, p *infer.Pipeline, o FileOptions) (found *tissue.Mask, err error) {
	in, err := o.open(p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	return o.tissue(ctx, in)
}

// AreaOf returns what of a file is translated, without doing it.
func AreaOf(ctx context.Context, p *infer.Pipeline, o FileOptions) (a Area, err error) {
	in, err := o.open(p)
	if err != nil {
		return Area{}, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	found, err := o.tissue(ctx, in)
	if err != nil {
		return Area{}, err
	}
	m, err := o.mask(in, found)
	if err != nil {
		return Area{}, err
	}
	a = Area{Mask: m, File: in.slide.Bounds(), Scale: in.scale, MPP: in.mpp}
	a.Width, a.Height = in.Size()
	return a, m.check(a.Width, a.Height)
}

// Pixels are those of the mask that show any of a rectangle of the file's.
func (a Area) Pixels(r image.Rectangle) image.Rectangle { return scaled(r, a.Scale, a.Width, a.Height) }

// scaled are the pixels of an image that show any of a rectangle of the file's, of which scale are one of the image's.
func scaled(r image.Rectangle, scale [2]float64, width, height int) image.Rectangle {
	down := func(v, axis int) int { return int(float64(v) / scale[axis]) }
	up := func(v, axis int) int { return int(math.Ceil(float64(v) / scale[axis])) }
	// The last pixel shows what is left of the file, too, where its size is no multiple of the scale.
	return image.Rect(min(down(r.Min.X, 0), width-1), min(down(r.Min.Y, 1), height-1),
		min(up(r.Max.X, 0), width), min(up(r.Max.Y, 1), height))
}

// Polygons returns the area's outlines in pixels of the file.
func (a Area) Polygons() []tissue.Polygon {
	cells := tissue.Mask{
		Width: a.Mask.Width, Height: a.Mask.Height, SlideWidth: a.Mask.Width, SlideHeight: a.Mask.Height, In: a.Cells,
	}
	polygons := cells.Polygons()
	for _, p := range polygons {
		for _, ring := range p {
			for i, at := range ring {
				ring[i] = tissue.Point{a.edge(at[0], 0, a.File.Dx()), a.edge(at[1], 1, a.File.Dy())}
			}
		}
	}
	return polygons
}

// edge is where the cell of a number begins: in pixels of the file, to the hundredth, and not beyond it.
func (a Area) edge(cell float64, axis, end int) float64 {
	return min(math.Round(cell*float64(a.Cell)*a.Scale[axis]*100)/100, float64(end))
}
