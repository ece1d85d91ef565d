package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/stats"
)

// figures draws what the table and the results have values for.
func figures(r *evaluate.Results, t *evaluate.Table) ([]*figure, error) {
	var list []*figure
	add := func(f *figure, err error) error {
		if f != nil && err == nil {
			list = append(list, f)
		}
		return err
	}
	for _, s := range []struct{ id, title, unit string }{
		{"dab90", "Strongest DAB of each pair (DAB90)", "OD"},
		{"positive_area", "DAB-positive area of each pair", "%"},
		{"ki67_index", "Positive nuclei of each pair", "%"},
		{"hscore", "H-score of each pair", "H-score"},
	} {
		if err := add(scatter(r, t, s.id, s.title, s.unit)); err != nil {
			return nil, err
		}
	}
	if err := add(agreement(t, "dab90", "Agreement of DAB90 (Bland and Altman)", "OD")); err != nil {
		return nil, err
	}
	if err := add(spectrum(r)); err != nil {
		return nil, err
	}
	for _, d := range []struct{ id, title, unit string }{
		{"ssim", "SSIM of the pairs", "SSIM"},
		{"psnr", "PSNR of the pairs", "PSNR, dB"},
		{"dab_jsd", "Divergence of the pairs' DAB histograms", "Jensen–Shannon divergence, bit"},
	} {
		if err := add(distribution(t, d.id, d.title, d.unit)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// largest is the largest value drawn: squares, sums and differences of such values are finite, as axes need.
const largest = 1e100

func drawable(v float64) bool { return math.Abs(v) <= largest }

// finite returns the pairs of values that can be drawn.
func finite(x, y []float64) plotter.XYs {
	var points plotter.XYs
	for i := range min(len(x), len(y)) {
		if drawable(x[i]) && drawable(y[i]) {
			points = append(points, plotter.XY{X: x[i], Y: y[i]})
		}
	}
	return points
}

// maxDots limits the points of a figure: more make the page heavy but look the same.
const maxDots = 2000

// dotted tells the reader that not all points are drawn.
func dotted(points plotter.XYs) string {
	if len(points) <= maxDots {
		return ""
	}
	return fmt.Sprintf(" Every %d-th is drawn.", stride(len(points)))
}

func stride(n int) int { return (n + maxDots - 1) / maxDots }

func glyphs(points plotter.XYs, c color.NRGBA) (*plotter.Scatter, error) {
	var drawn plotter.XYs
	for i := 0; i < len(points); i += stride(len(points)) {
		drawn = append(drawn, points[i])
	}
	s, err := plotter.NewScatter(drawn)
	if err != nil {
		return nil, err
	}
	alpha := uint8(0xb0)
	if len(points) > 500 {
		alpha = 0x60
	}
	s.GlyphStyle = draw.GlyphStyle{Color: see(c, alpha), Radius: 2.2, Shape: draw.CircleGlyph{}}
	return s, nil
}

func line(x0, y0, x1, y1 float64, c color.NRGBA, dashed bool) (*plotter.Line, error) {
	l, err := plotter.NewLine(plotter.XYs{{X: x0, Y: y0}, {X: x1, Y: y1}})
	if err != nil {
		return nil, err
	}
	l.LineStyle = draw.LineStyle{Color: c, Width: 1}
	if dashed {
		l.Dashes = []vg.Length{4, 3}
	}
	return l, nil
}

// scatter plots a measure of the real images against the same of the virtual ones.
func scatter(r *evaluate.Results, t *evaluate.Table, id, title, unit string) (*figure, error) {
	points := finite(t.Values("real_"+id), t.Values("virtual_"+id))
	if len(points) == 0 {
		return nil, nil
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range points {
		low, high = min(low, p.X, p.Y), max(high, p.X, p.Y)
	}
	low, high = widen(low, high)
	p := newPlot(title, "real, "+unit, "virtual, "+unit, grid)
	same, err := line(low, low, high, high, faint, true)
	if err != nil {
		return nil, err
	}
	dots, err := glyphs(points, colours["virtual"])
	if err != nil {
		return nil, err
	}
	p.Add(same, dots)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = low, high, low, high
	p.Legend.Left, p.Legend.Top = emptiest(points, low, high)
	p.Legend.Add("a pair", dots)
	p.Legend.Add("virtual = real", same)
	caption := fmt.Sprintf("%s: each point is one of %d pairs.", title, len(points))
	if m := r.Metric(id + "_pearson"); m != nil && m.Value.Known() {
		caption += fmt.Sprintf(" Pearson's r = %s", m.Value.Text(m.Decimals))
		if m.Interval != nil {
			caption += fmt.Sprintf(" (%g %% interval %s)", 100*r.Settings.Level, m.Interval.Range(m.Decimals))
		}
		caption += "."
	}
	return render("scatter_"+id, caption+dotted(points), p)
}

// emptiest is the corner of a square figure, off its diagonal, in which a legend hides fewer points.
func emptiest(points plotter.XYs, low, high float64) (left, top bool) {
	upper, lower := 0, 0
	for _, q := range points {
		x, y := (q.X-low)/(high-low), (q.Y-low)/(high-low)
		if x < 0.45 && y > 0.8 {
			upper++
		}
		if x > 0.55 && y < 0.2 {
			lower++
		}
	}
	if upper <= lower {
		return true, true
	}
	return false, false
}

// widen adds a margin to a range, and some width if it has none.
func widen(low, high float64) (float64, float64) {
	room, size := 0.05*(high-low), max(math.Abs(low), math.Abs(high))
	if room <= 1e-9*size { // also where all values are 0
		room = max(1e-3, 0.05*size)
	}
	if low >= 0 && low-room < 0 { // no room below what can't be negative
		return 0, high + room
	}
	return low - room, high + room
}

// agreement is the difference of virtual and real against their mean (Bland and Altman, Lancet 1986).
func agreement(t *evaluate.Table, id, title, unit string) (*figure, error) {
	points := finite(t.Values("real_"+id), t.Values("virtual_"+id))
	if len(points) < 2 {
		return nil, nil
	}
	sum, low, high := 0.0, math.Inf(1), math.Inf(-1)
	for i, q := range points {
		points[i] = plotter.XY{X: (q.X + q.Y) / 2, Y: q.Y - q.X}
		sum += points[i].Y
		low, high = min(low, points[i].X), max(high, points[i].X)
	}
	mean, square := sum/float64(len(points)), 0.0
	for _, q := range points {
		square += (q.Y - mean) * (q.Y - mean)
	}
	limit := 1.96 * math.Sqrt(square/float64(len(points)-1))
	low, high = widen(low, high)
	p := newPlot(title, "mean of both, "+unit, "virtual − real, "+unit, grid)
	dots, err := glyphs(points, colours["virtual"])
	if err != nil {
		return nil, err
	}
	p.Add(dots)
	for _, l := range []struct {
		at     float64
		label  string
		dashed bool
		c      color.NRGBA
	}{
		{0, "", false, faint},
		{mean, "mean difference", false, ink},
		{mean - limit, "limits of agreement (± 1.96 SD)", true, ink},
		{mean + limit, "", true, ink},
	} {
		drawn, err := line(low, l.at, high, l.at, l.c, l.dashed)
		if err != nil {
			return nil, err
		}
		p.Add(drawn)
		if l.label != "" {
			p.Legend.Add(l.label, drawn)
		}
	}
	p.X.Min, p.X.Max = low, high
	reach := 0.0
	for _, q := range points {
		reach = max(reach, math.Abs(q.Y))
	}
	reach = max(reach, math.Abs(mean)+limit, 1e-6)
	p.Y.Min, p.Y.Max = -1.1*reach, 1.5*reach // room for the legend
	text := func(v float64) string { return evaluate.Number(v).Text(4) }
	caption := fmt.Sprintf("%s: mean difference %s %s, limits of agreement %s to %s %s, %d pairs.",
		title, text(mean), unit, text(mean-limit), text(mean+limit), unit, len(points))
	return render("agreement_"+id, caption+dotted(points), p)
}

func spectrum(r *evaluate.Results) (*figure, error) {
	h := r.Histograms
	if h.Real == nil || h.Virtual == nil || !(h.BinWidth > 0 && h.BinWidth <= largest) {
		return nil, nil
	}
	p := newPlot("DAB of all pixels", "optical density of DAB", "part of all pixels", grid)
	last, least, most := 0, 1.0, 0.0
	sets := []struct {
		name   string
		values []float64
		c      color.NRGBA
	}{{"real", h.Real, colours["real"]}, {"virtual", h.Virtual, colours["virtual"]}, {"H&E (floor)", h.HE, colours["he"]}}
	for _, s := range sets {
		for i, v := range s.values {
			if v > 0 && v <= 1 {
				last, least = max(last, i), min(least, v)
			}
		}
	}
	least = max(least, 1e-6)
	for _, s := range sets {
		var points plotter.XYs
		for i, v := range s.values {
			if v >= least && v <= 1 { // no logarithm of 0
				points = append(points, plotter.XY{X: (float64(i) + 0.5) * h.BinWidth, Y: v})
				most = max(most, v)
			}
		}
		if points == nil {
			continue
		}
		l, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		l.LineStyle = draw.LineStyle{Color: s.c, Width: 1.3}
		p.Add(l)
		p.Legend.Add(s.name, l)
	}
	if most == 0 {
		return nil, nil
	}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, powers{}
	p.X.Min, p.X.Max = 0, float64(last+1)*h.BinWidth
	p.Y.Min, p.Y.Max = min(least, most/10), most // a logarithmic axis has a length
	caption := fmt.Sprintf("DAB of all pixels, bins of %g OD, logarithmic: real, virtual", h.BinWidth)
	if h.HE != nil {
		caption += " and H&E"
	}
	return render("dab_histogram", caption+".", p)
}

func distribution(t *evaluate.Table, id, title, unit string) (*figure, error) {
	values := numbers(t.Values(id))
	floor := numbers(t.Values("floor_" + id))
	if len(values) == 0 {
		return nil, nil
	}
	all := slices.Concat(values, floor)
	low, high := slices.Min(all), slices.Max(all)
	if size := max(1, math.Abs(low), math.Abs(high)); high-low < 1e-9*size {
		low, high = low-max(0.5, 0.01*size), high+max(0.5, 0.01*size)
	}
	bins := min(40, max(8, int(math.Sqrt(float64(len(values)))*1.5)))
	p := newPlot(title, unit, "pairs", nil)
	for _, s := range []struct {
		name   string
		values []float64
		c      color.NRGBA
	}{{"H&E as virtual (floor)", floor, colours["he"]}, {"virtual", values, colours["virtual"]}} {
		if len(s.values) == 0 {
			continue
		}
		counts := make([]float64, bins)
		for _, v := range s.values {
			counts[min(bins-1, int((v-low)/(high-low)*float64(bins)))]++
		}
		h := &plotter.Histogram{
			Width: (high - low) / float64(bins), FillColor: see(s.c, 0x70), LineStyle: draw.LineStyle{Color: s.c, Width: 0.75},
		}
		for i, n := range counts {
			x := low + float64(i)*h.Width
			if n > 0 {
				h.Bins = append(h.Bins, plotter.HistogramBin{Min: x, Max: x + h.Width, Weight: n})
			}
		}
		p.Add(h)
		p.Legend.Add(s.name, h)
	}
	p.X.Min, p.X.Max = low, high
	p.Y.Min = 0
	p.Y.Max *= 1.25 // room for the legend
	quantile := func(values []float64, q float64) string { return evaluate.Number(stats.Quantile(values, q)).Text(3) }
	caption := fmt.Sprintf("%s: median %s, quartiles %s to %s",
		title, quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75))
	if len(floor) > 0 {
		caption += "; floor: median " + quantile(floor, 0.5)
	}
	if n := len(t.Values(id)) - len(values); n > 0 {
		caption += fmt.Sprintf("; %d pairs without a finite value are left out", n)
	}
	return render("distribution_"+id, caption+".", p)
}

func numbers(values []float64) []float64 {
	var out []float64
	for _, v := range values {
		if drawable(v) {
			out = append(out, v)
		}
	}
	return out
}
