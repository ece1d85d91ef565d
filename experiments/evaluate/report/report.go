package report

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/internal/atomicfile"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// Folder is the report's folder in an evaluation's folder, Page its page.
const (
	Folder = "report"
	Page   = "index.html"
)

// page is what page.html shows.
type page struct {
	*evaluate.Results
	Style     template.CSS
	Key       []card
	Figures   []shown
	Galleries []gallery
	Failures  []evaluate.Problem
	More      int // failures beyond those shown
	Options   []setting
}

type shown struct {
	SVG     template.HTML
	Caption string
	File    string
}

// card is a metric that is shown first.
type card struct {
	Title string
	evaluate.Metric
}

var cards = []struct{ ID, Title string }{
	{"ssim", "SSIM"},
	{"fid", "FID"},
	{"retrieval_gigapath_top1", "MRA top-1 (GigaPath)"},
	{"dab90_pearson", "Pearson's r of DAB90"},
	{"positive_area_mae", "Error of the DAB-positive area"},
	{"ki67_index_mae", "Error of positive nuclei"},
	{"hscore_mae", "Error of the H-score"},
	{"dab_jsd_pooled", "Divergence of DAB, all pixels"},
}

type setting struct{ Name, Value string }

// maxShown is how many failures and missing partners the page lists.
const maxShown = 50

// Write makes the folder report in output: index.html, which needs no other file, and figures/*.svg and *.png. An image
// that can't be read is reported in its place.
func Write(ctx context.Context, output string, r *evaluate.Results, t *evaluate.Table) error {
	drawn, err := figures(r, t)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	folder := filepath.Join(output, Folder)
	if err := os.MkdirAll(filepath.Join(folder, "figures"), 0o777); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	p := page{Results: r, Style: template.CSS(pageStyle), Failures: r.Problems, Options: settings(r)}
	for _, f := range drawn {
		if err := ctx.Err(); err != nil {
			return err
		}
		for ending, data := range map[string][]byte{".svg": f.svg, ".png": f.png} {
			if err := atomicfile.Write(filepath.Join(folder, "figures", f.name+ending), data); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
		p.Figures = append(p.Figures, shown{template.HTML(f.inline()), f.caption, f.name})
	}
	for _, c := range cards {
		if m := r.Metric(c.ID); m != nil && m.Value.Known() {
			p.Key = append(p.Key, card{c.Title, *m})
		}
	}
	if len(p.Failures) > maxShown {
		p.More, p.Failures = len(p.Failures)-maxShown, p.Failures[:maxShown]
	}
	if p.Galleries = galleries(t, imagefile.Options{ICC: r.Settings.ICC}); ctx.Err() != nil {
		return ctx.Err()
	}
	body, err := fill(p)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(folder, Page), body); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func fill(p page) ([]byte, error) {
	functions := template.FuncMap{
		"scale": scale,
		"references": func(m evaluate.Metric) []*evaluate.Reference {
			return []*evaluate.Reference{m.Floor, m.Ceiling, m.Chance}
		},
		"describe":    describer(),
		"micrometres": func() string { return fmt.Sprintf("%g", 100*p.Settings.MPP) },
		"has":         func(list []evaluate.Missing, n int) bool { return len(list) > n },
		"first":       func(list []evaluate.Missing) []evaluate.Missing { return list[:min(len(list), maxShown)] },
		"vector":      func(v [3]float64) string { return fmt.Sprintf("%.3f, %.3f, %.3f", v[0], v[1], v[2]) },
		"minus":       func(a, b int) int { return a - b },
		"sizes": func(sizes map[string]int) string {
			var list []string
			for s, n := range sizes {
				list = append(list, fmt.Sprintf("%d of %s px", n, s))
			}
			slices.Sort(list)
			return strings.Join(list, ", ")
		},
	}
	t, err := template.New("page").Funcs(functions).Parse(pageText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// describer defines a line's metric unless the line above did; the lines of one measure are adjacent.
func describer() func(m evaluate.Metric) string {
	last := ""
	return func(m evaluate.Metric) string {
		if m.Definition == last {
			return ""
		}
		last = m.Definition
		if m.Real == nil || m.Virtual == nil {
			return m.Definition
		}
		unit := ""
		if m.MeanUnit != "" {
			unit = " " + m.MeanUnit
		}
		return fmt.Sprintf("%s Means: real %s, virtual %s%s.",
			m.Definition, m.Real.Text(m.MeanDecimals), m.Virtual.Text(m.MeanDecimals), unit)
	}
}

func settings(r *evaluate.Results) []setting {
	s := r.Settings
	return []setting{
		{"colour profiles (icc)", s.ICC.String()},
		{"stain vectors", r.Stains.Source},
		{"DAB counts as positive from", fmt.Sprintf("%g OD", s.PositiveDAB)},
		{"micrometres per pixel", fmt.Sprintf("%g", s.MPP)},
		{"nuclei stand out in", string(s.NucleiSignal)},
		{"PHV threshold", fmt.Sprintf("%g", s.PHVThreshold)},
		{"KID", fmt.Sprintf("%d subsets of at most %d images", s.KIDSubsets, s.KIDSubsetSize)},
		{"intervals", fmt.Sprintf("%g %%, percentiles of %d bootstrap resamples", 100*s.Level, s.Resamples)},
		{"sign flips of paired tests", fmt.Sprint(s.Flips)},
		{"seed", fmt.Sprint(s.Seed)},
	}
}
