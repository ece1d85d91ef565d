//go:build unix

package report_test

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/evaluate/report"
)

// memoryLimit is what TestDegenerateResults may map: a loop that never ends fills it within seconds, as one over the
// ticks of an axis did.
const memoryLimit = 3 << 30

// A report can be drawn of whatever an evaluation may find: images of one colour, a single pair, nothing but unknown or
// infinite values. It runs in a process of its own with little memory.
func TestDegenerateResults(t *testing.T) {
	const child = "HISTDIST_LIMITED_MEMORY"
	if os.Getenv(child) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDegenerateResults$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out[:min(len(out), 4000)])
		}
		return
	}
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: memoryLimit, Max: memoryLimit}); err != nil {
		t.Fatal(err)
	}
	nan, inf := math.NaN(), math.Inf(1)
	same := func(v float64) func(int) float64 { return func(int) float64 { return v } }
	of := func(v ...float64) func(int) float64 { return func(i int) float64 { return v[i%len(v)] } }
	for _, c := range []struct {
		name  string
		pairs int
		value func(i int) float64 // of a pair, in every column
		parts []float64           // of the DAB histograms
	}{
		{"images of one colour", 4, same(0), []float64{1}},
		{"all pairs equal", 4, same(0.7), []float64{0, 0, 0.5, 0.5}},
		{"all pairs negative and equal", 4, same(-3), []float64{0, 1}},
		{"all pairs equal and huge", 4, same(1e17), []float64{1, 0, 0}},
		{"one pair", 1, same(0.5), []float64{0.25, 0.75}},
		{"no pairs", 0, nil, nil},
		{"nothing known", 4, same(nan), []float64{nan, nan}},
		{"infinite", 4, of(inf, -inf, inf, inf), []float64{inf, 1}},
		{"one value known", 4, of(nan, 2, inf, nan), []float64{0, 0, 0}},
		{"all the range of floats", 4, of(-math.MaxFloat64, math.MaxFloat64, 1, 0), []float64{math.MaxFloat64, -1}},
		{"tiny", 3, of(0, math.SmallestNonzeroFloat64, 1e-300), []float64{1e-300, 1}},
		{"huge and apart", 3, of(-9e99, 9e99, 1), []float64{1e-7, 1e-9}},
		{"finer than floats", 2, of(1, math.Nextafter(1, 2)), []float64{0.5, math.Nextafter(0.5, 1)}},
	} {
		t.Run(c.name, func(t *testing.T) { drawsReport(t, c.pairs, c.value, c.parts) })
	}
}

// drawsReport writes a report in which every column has the same values, and checks its figures.
func drawsReport(t *testing.T, pairs int, value func(i int) float64, parts []float64) {
	table := &evaluate.Table{}
	for i := range pairs {
		table.Rows = append(table.Rows, evaluate.Row{Match: evaluate.Match{Name: fmt.Sprint("pair", i)}})
	}
	r := &evaluate.Results{Settings: evaluate.DefaultSettings()}
	r.Histograms = evaluate.Histograms{BinWidth: 0.02, Real: parts, Virtual: parts, HE: parts[:min(1, len(parts))]}
	for k, id := range []string{
		"ssim", "psnr", "dab_jsd", "floor_ssim", "real_dab90", "virtual_dab90", "real_positive_area",
		"virtual_positive_area",
	} {
		column := evaluate.Column{ID: id}
		for i := range pairs {
			v := value(i)
			if k%2 == 1 && pairs > 2 {
				v = value(pairs - 1 - i) // other values on the other axis
			}
			column.Values = append(column.Values, v)
		}
		table.Columns = append(table.Columns, column)
	}
	for i, better := range []evaluate.Better{evaluate.Higher, evaluate.Lower, evaluate.Zero, evaluate.One} {
		v := math.NaN()
		if pairs > 0 {
			v = value(i)
		}
		n := evaluate.Number(v)
		r.Metrics = append(r.Metrics, evaluate.Metric{
			ID:      fmt.Sprint("m", i),
			Better:  better,
			Value:   n,
			Floor:   &evaluate.Reference{Value: 0},
			Ceiling: &evaluate.Reference{Value: n},
			Chance: &evaluate.Reference{
				Value: evaluate.Number(math.NaN()),
			},
			Std:      &n,
			Interval: &evaluate.Interval{Low: -n, High: n},
		})
	}
	folder := t.TempDir()
	if err := report.Write(t.Context(), folder, r, table); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(folder, report.Folder, report.Page))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(page), `"NaN`) || strings.Contains(string(page), "Inf") {
		t.Error("the page has coordinates that are no numbers")
	}
	paths, err := filepath.Glob(filepath.Join(folder, report.Folder, "figures", "*.png"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.DecodeConfig(bytes.NewReader(data)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		svg, err := os.ReadFile(strings.TrimSuffix(path, ".png") + ".svg")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
			t.Errorf("%s has coordinates that are no numbers", path)
		}
	}
	finite := false
	for i := range pairs {
		finite = finite || math.Abs(value(i)) <= 1e100
	}
	if finite && len(paths) == 0 {
		t.Error("no figure was drawn")
	}
}
