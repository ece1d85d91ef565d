package tune

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"gonum.org/v1/plot/plotter"

	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/evaluate/report"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/atomicfile"
)

// Report is what was measured: tune.json.
type Report struct {
	Software string `json:"software"`
	Images   int    `json:"images"`
	Rows     []Row  `json:"rows"`
	// Recommended is the name of the cheapest row that is as good as the paper's; "" if there is none.
	Recommended string `json:"recommended,omitempty"`
}

// Row is a sampling.
type Row struct {
	Family   string          `json:"family,omitempty"`
	Name     string          `json:"name"`
	Sampling model.Preset    `json:"sampling"`
	Calls    int             `json:"calls"`   // of the U-Net, for an image
	Seconds  evaluate.Number `json:"seconds"` // for an image; NaN if all were there before they were timed

	Paper   Measures            `json:"paper,omitempty"`   // the distance from the paper's sampler
	Real    Measures            `json:"real,omitempty"`    // and from the true stains
	Tests   []evaluate.PairTest `json:"tests,omitempty"`   // the former, against another seed's
	Farther []string            `json:"farther,omitempty"` // measures that are worse than another seed's
}

// Measures are values of metrics of an evaluation, by their IDs.
type Measures map[string]evaluate.Number

// measures are the metrics of an evaluation that are reported.
var measures = []struct {
	id, name, short string
	decimals        int
	ratio           bool // of sharpness, where 1 is best
}{
	{"ssim", "SSIM", "SSIM", 3, false},
	{"psnr", "PSNR, dB", "PSNR", 2, false},
	{"positive_area_pearson", "DAB-positive area, r", "area r", 3, false},
	{"positive_area_mae", "DAB-positive area, |Δ| in points", "area |Δ|", 2, false},
	{"dab_jsd", "DAB histograms, divergence", "JSD", 3, false},
	{"dab_jsd_pooled", "DAB of all pixels, divergence", "pooled", 4, false},
	{"nuclei_bias", "Excess nuclei, 1/mm²", "excess", 0, false},
	{"nuclei_mae", "Nuclei, |Δ| in 1/mm²", "nuclei |Δ|", 0, false},
	{"nuclei_dice", "Dice of the nuclei", "Dice", 3, false},
	{"sharpness_ratio", "Sharpness, ratio", "sharp", 2, true},
	{"fine_power_ratio", "Power of fine detail, ratio", "fine", 2, true},
	{"kid", "KID, × 10³", "KID", 2, false},
}

// measured picks the measures that an evaluation has.
func measured(r *evaluate.Results) Measures {
	if r == nil {
		return nil
	}
	m := Measures{}
	for _, measure := range measures {
		if metric := r.Metric(measure.id); metric != nil && metric.Value.Known() {
			m[measure.id] = metric.Value
		}
	}
	return m
}

// recommend picks the cheapest row that is as good as the paper's, of equal ones the first.
func (r *Report) recommend() {
	r.Recommended = ""
	best := 0
	for _, row := range r.Rows {
		if row.Tests != nil && len(row.Farther) == 0 && (r.Recommended == "" || row.Calls < best) {
			r.Recommended, best = row.Name, row.Calls
		}
	}
}

// Best returns the recommended row, nil if there is none.
func (r *Report) Best() *Row { return r.row(r.Recommended) }

func (r *Report) row(name string) *Row {
	for i := range r.Rows {
		if r.Rows[i].Name == name {
			return &r.Rows[i]
		}
	}
	return nil
}

// readReport reads the report of an earlier run; one that isn't there or can't be read is empty.
func readReport(folder string) *Report {
	r := &Report{}
	if text, err := os.ReadFile(filepath.Join(folder, ReportFile)); err != nil || json.Unmarshal(text, r) != nil {
		return &Report{}
	}
	return r
}

// write writes tune.json and the curves.
func (r *Report) write(folder string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	svg, png, err := r.Curves()
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		ReportFile: append(text, '\n'), curvesFile + ".svg": svg, curvesFile + ".png": png,
	} {
		if err := atomicfile.Write(filepath.Join(folder, name), data); err != nil {
			return err
		}
	}
	return nil
}

// WriteText prints the rows as a table: distances from the paper's sampler and, where they are known, from the true
// stains.
func (r *Report) WriteText(w io.Writer) error {
	for _, part := range []struct {
		title string
		of    func(Row) Measures
	}{
		{"distance from the paper's sampler", func(r Row) Measures { return r.Paper }},
		{"distance from the true stains", func(r Row) Measures { return r.Real }},
	} {
		known := map[string]bool{}
		for _, row := range r.Rows {
			for id := range part.of(row) {
				known[id] = true
			}
		}
		if len(known) == 0 {
			continue
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "%s, %d images\nsampling\tcalls\ts/image", part.title, r.Images)
		for _, m := range measures {
			if known[m.id] {
				fmt.Fprint(t, "\t", m.short)
			}
		}
		fmt.Fprintln(t, "\tworse than another seed")
		for _, row := range r.Rows {
			fmt.Fprintf(t, "%s\t%d\t%s", row.Name, row.Calls, row.Seconds.Text(1))
			values := part.of(row)
			for _, m := range measures {
				if !known[m.id] {
					continue
				}
				text := "–"
				if v, ok := values[m.id]; ok {
					text = v.Text(m.decimals)
				}
				fmt.Fprint(t, "\t", text)
			}
			verdict := fmt.Sprintf("%d measures", len(row.Farther))
			switch {
			case row.Tests == nil:
				verdict = ""
			case len(row.Farther) == 0:
				verdict = "none"
			case len(row.Farther) < 3:
				verdict = strings.Join(row.Farther, "; ")
			}
			fmt.Fprintf(t, "\t%s\n", verdict)
		}
		fmt.Fprintln(t)
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Curves draws the measures over the calls of the U-Net, against the true stains if they are known and against the
// paper's sampler otherwise, with the other seed's as the level to reach.
func (r *Report) Curves() (svg, png []byte, err error) {
	of := func(r Row) Measures { return r.Paper }
	for _, row := range r.Rows {
		if row.Real != nil {
			of = func(r Row) Measures { return r.Real }
		}
	}
	var panels []report.Panel
	for _, m := range measures {
		p := report.Panel{Title: m.name}
		for _, row := range r.Rows {
			v, ok := of(row)[m.id]
			switch {
			case !ok:
			case row.Name == second:
				p.Levels = append(p.Levels, report.Level{Name: second, Value: float64(v)})
			default:
				i := 0
				for i < len(p.Curves) && p.Curves[i].Name != row.Family {
					i++
				}
				if i == len(p.Curves) {
					p.Curves = append(p.Curves, report.Curve{Name: row.Family})
				}
				p.Curves[i].Points = append(p.Curves[i].Points, plotter.XY{X: float64(row.Calls), Y: float64(v)})
			}
		}
		panels = append(panels, p)
	}
	return report.Curves("U-Net calls for each image", panels)
}
