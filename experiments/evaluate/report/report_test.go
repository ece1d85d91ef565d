package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/evaluate/report"
)

// study evaluates n pairs of noise of different strengths, and writes the report.
func study(
	t *testing.T, n int, names func(i int) string, change func(r *evaluate.Results, table *evaluate.Table),
) (page, folder string) {
	t.Helper()
	folder = t.TempDir()
	for set, kind := range map[string]int{"real": 3, "fake": 4, "he": 9} {
		for i := range n {
			img := imagefile.New(48, 32)
			for k := range img.Pix {
				img.Pix[k] = uint8(200 - (k*k*(kind+i)+k)%(20+5*i))
			}
			path := filepath.Join(folder, set, names(i)+".png")
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := imagefile.Write(path, img, imagefile.WriteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := evaluate.DefaultSettings()
	s.Resamples = 100
	o := evaluate.Options{
		Real:           filepath.Join(folder, "real"),
		Virtual:        filepath.Join(folder, "fake"),
		HE:             filepath.Join(folder, "he"),
		Output:         filepath.Join(folder, "out"),
		PatientPattern: evaluate.SlidePattern,
		Settings:       s,
		Software:       "histdist test",
	}
	r, table, err := evaluate.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r, table)
	}
	if err := report.Write(t.Context(), o.Output, r, table); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(o.Output, report.Folder, report.Page))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Metrics {
		if text := m.Value.Text(m.Decimals); !strings.Contains(string(data), text) {
			t.Errorf("the page does not have %s = %s", m.ID, text)
		}
	}
	return string(data), filepath.Join(o.Output, report.Folder)
}

var attribute = regexp.MustCompile(`(?:src|href|data|action|poster|srcset)\s*=\s*"([^"]*)"`)

// The page needs nothing outside itself, and its figures can be read.
func TestPage(t *testing.T) {
	page, folder := study(t, 12, func(i int) string { return fmt.Sprintf("S%d_%d", i/2, i) }, nil)
	for _, match := range attribute.FindAllStringSubmatch(page, -1) {
		if !strings.HasPrefix(match[1], "data:") {
			t.Errorf("the page refers to %q", match[1])
		}
	}
	for _, no := range []string{"<script", "<iframe", "@import", "url("} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %q", no)
		}
	}
	if n := strings.Count(page, `src="data:image/jpeg;base64,`); n < 3*6 {
		t.Errorf("the page shows %d images: want at least 18", n)
	}
	for _, want := range []string{
		"</html>", "worst", "median", "best", "12 pairs of 6 patients or slides", "QuPath", "Not computed",
		"histdist test",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	pngs, err := filepath.Glob(filepath.Join(folder, "figures", "*.png"))
	if err != nil || len(pngs) < 7 {
		t.Fatalf("figures: %v, %v", pngs, err)
	}
	for _, path := range pngs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(bytes.NewReader(data)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		svg, err := os.Open(strings.TrimSuffix(path, ".png") + ".svg")
		if err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(svg)
		for {
			if _, err = d.Token(); err != nil {
				break
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", svg.Name(), err)
		}
		if err := svg.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Names of files and texts of errors are no part of the page's markup.
func TestPageEscapes(t *testing.T) {
	page, _ := study(
		t,
		6,
		func(i int) string { return fmt.Sprintf("<b>&\"'%d", i) },
		func(r *evaluate.Results, _ *evaluate.Table) {
			r.Problems = append(r.Problems, evaluate.Problem{Where: "<script>alert(1)</script>", Error: "<img src=x>"})
			r.Warnings = append(r.Warnings, "</style><script>")
			r.Provenance = append(r.Provenance, evaluate.Statement{Key: "k", Value: "<iframe>"})
		},
	)
	for _, no := range []string{"<script", "<img src=x", "<iframe", "<b>"} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %q", no)
		}
	}
}

// Few pairs, equal pairs and pairs without values make a page all the same.
func TestPageOfLittle(t *testing.T) {
	page, _ := study(t, 1, func(int) string { return "a" }, nil)
	if !strings.Contains(page, "1 pairs") {
		t.Error("one pair makes no page")
	}
	study(t, 3, func(i int) string { return string(rune('a' + i)) }, func(r *evaluate.Results, table *evaluate.Table) {
		for c := range table.Columns {
			for i := range table.Columns[c].Values {
				table.Columns[c].Values[i] = math.NaN()
			}
		}
	})
	study(t, 3, func(i int) string { return string(rune('a' + i)) }, func(r *evaluate.Results, table *evaluate.Table) {
		for c := range table.Columns {
			for i := range table.Columns[c].Values {
				table.Columns[c].Values[i] = []float64{0, 5, math.Inf(1)}[c%3]
			}
		}
	})
}
