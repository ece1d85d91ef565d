package report

import (
	"fmt"
	"image/color"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Panel is a part of a drawing: curves of one measure.
type Panel struct {
	Title  string
	Curves []Curve
	Levels []Level
}

// Curve is points that belong together, from left to right.
type Curve struct {
	Name   string
	Points plotter.XYs // X above 0
}

// Level is a value to compare curves with.
type Level struct {
	Name  string
	Value float64
}

// The colours of curves, by Okabe and Ito.
var curveColours = []color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff},
}

// Curves draws panels next to each other, three in a row, over one logarithmic axis. Points that can't be drawn are
// left out, and so are panels without any.
func Curves(x string, panels []Panel) (svg, png []byte, err error) {
	const columns = 3
	var plots []*plot.Plot
	for _, panel := range panels {
		p, err := panel.plot(x)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", panel.Title, err)
		}
		if p != nil {
			plots = append(plots, p)
		}
	}
	rows := max(1, (len(plots)+columns-1)/columns)
	w, h := columns*7.2*vg.Centimeter, vg.Length(rows)*6*vg.Centimeter
	return paint(w, h, func(c draw.Canvas) {
		tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: 12, PadY: 12}
		for i, p := range plots {
			p.Draw(tiles.At(c, i%columns, i/columns))
		}
	})
}

// plot is a panel's, nil if it shows nothing.
func (panel Panel) plot(x string) (*plot.Plot, error) {
	p := newPlot(panel.Title, x, "", grid)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, calls{}
	drawn := false
	for i, c := range panel.Curves {
		var points plotter.XYs
		for _, q := range c.Points {
			if q.X > 0 && drawable(q.X) && drawable(q.Y) {
				points = append(points, q)
			}
		}
		if len(points) == 0 {
			continue
		}
		l, s, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		colour := curveColours[i%len(curveColours)]
		l.LineStyle = draw.LineStyle{Color: colour, Width: 1.3}
		s.GlyphStyle = draw.GlyphStyle{Color: colour, Radius: 2.2, Shape: draw.CircleGlyph{}}
		p.Add(l, s)
		p.Legend.Add(c.Name, l, s)
		drawn = true
	}
	if !drawn {
		return nil, nil
	}
	for i, level := range panel.Levels {
		if !drawable(level.Value) {
			continue
		}
		l, err := line(p.X.Min, level.Value, p.X.Max, level.Value, []color.NRGBA{ink, faint}[i%2], true)
		if err != nil {
			return nil, err
		}
		p.Add(l)
		p.Legend.Add(level.Name, l)
	}
	p.Y.Min, p.Y.Max = widen(p.Y.Min, p.Y.Max)
	p.Y.Max += 0.45 * (p.Y.Max - p.Y.Min) // room for the legend
	p.X.Min, p.X.Max = p.X.Min/1.15, p.X.Max*1.15
	return p, nil
}

// calls are the ticks of numbers of calls: 1, 2, 5, 10, …
type calls struct{}

// Ticks implements plot.Ticker.
func (calls) Ticks(low, high float64) (list []plot.Tick) {
	for decade := 1.; decade <= high && len(list) < maxTicks; decade *= 10 {
		for _, v := range []float64{decade, 2 * decade, 5 * decade} {
			if v >= low && v <= high {
				list = append(list, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
			}
		}
	}
	return list
}
