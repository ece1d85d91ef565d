package report

import (
	"bytes"
	"fmt"
	"image/color"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The colours of figures, which people with any kind of colour vision can tell apart (Okabe and Ito, 2008).
var (
	ink     = color.NRGBA{0x1f, 0x29, 0x33, 0xff}
	faint   = color.NRGBA{0x9a, 0xa5, 0xb1, 0xff}
	grid    = color.NRGBA{0xe4, 0xe7, 0xeb, 0xff}
	colours = map[string]color.NRGBA{
		"virtual": {0x00, 0x72, 0xb2, 0xff},
		"real":    {0x8a, 0x4b, 0x08, 0xff},
		"he":      {0xcc, 0x79, 0xa7, 0xff},
	}
)

// The size of a figure.
const (
	width  = 11 * vg.Centimeter
	height = 8.2 * vg.Centimeter
)

func see(c color.NRGBA, alpha uint8) color.NRGBA {
	c.A = alpha
	return c
}

// newPlot is an empty figure in the report's style; vertical is the colour of vertical grid lines, nil for none.
func newPlot(title, x, y string, vertical color.Color) *plot.Plot {
	p := plot.New()
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = grid, vertical
	p.Add(g)
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	for _, s := range []*text.Style{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		s.Font.Variant = "Sans"
		s.Font.Size = 9
		s.Color = ink
	}
	p.Title.TextStyle.Font.Size = 10
	p.Title.TextStyle.Font.Weight = xfont.WeightBold
	p.Title.Padding = 6
	p.X.Label.Padding, p.Y.Label.Padding = 4, 4
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Color, a.Width = faint, 0.75
		a.Tick.Color, a.Tick.Width = faint, 0.5
		a.Tick.Length = 4
		a.Padding = 2
		a.Tick.Marker = ticks{}
	}
	p.Legend.Top = true
	p.Legend.Padding = 2
	p.Legend.ThumbnailWidth = 14
	return p
}

type figure struct {
	name    string // of its files
	caption string
	svg     []byte
	png     []byte
}

// render draws a plot.
func render(name, caption string, p *plot.Plot) (*figure, error) {
	svg, png, err := paint(width, height, p.Draw)
	if err != nil {
		return nil, fmt.Errorf("figure %s: %w", name, err)
	}
	return &figure{name, caption, svg, png}, nil
}

// paint draws onto an SVG and onto a PNG, three pixels a point.
func paint(width, height vg.Length, onto func(draw.Canvas)) (svg, png []byte, err error) {
	var vector, pixels bytes.Buffer
	c := vgsvg.New(width, height)
	onto(inner(draw.New(c)))
	if _, err := c.WriteTo(&vector); err != nil {
		return nil, nil, err
	}
	img := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(216))
	onto(inner(draw.New(img)))
	_, err = (vgimg.PngCanvas{Canvas: img}).WriteTo(&pixels)
	return vector.Bytes(), pixels.Bytes(), err
}

// inner is a canvas without its edge, on which labels of the last ticks would be cut.
func inner(c draw.Canvas) draw.Canvas {
	c.SetColor(color.White)
	c.Fill(c.Path())
	return draw.Crop(c, 6, -12, 6, -8)
}

// inline is the figure as an element of a page: without the prologue, and as wide as its place.
func (f *figure) inline() string {
	svg := string(f.svg)
	if i := strings.Index(svg, "<svg"); i >= 0 {
		svg = svg[i:]
	}
	end := strings.Index(svg, ">")
	head := `<svg viewBox="0 0 %.5g %.5g" role="img" aria-label=%q`
	return fmt.Sprintf(head, float64(width), float64(height), f.caption) + svg[end:]
}
