package report

import (
	"bytes"
	"image/png"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
)

// Panels with something to draw are drawn with their legends; values that can't be drawn are left out.
func TestCurves(t *testing.T) {
	one := Curve{"solver A", plotter.XYs{{X: 200, Y: 0.7}, {X: 20, Y: 0.6}, {X: 10, Y: math.NaN()}, {X: 0, Y: 1}}}
	panels := []Panel{
		{"SSIM", []Curve{one, {"solver B", plotter.XYs{{X: 20, Y: 0.65}}}}, []Level{{"another seed", 0.68}, {"none", math.Inf(1)}}},
		{"nothing", []Curve{{"solver A", plotter.XYs{{X: 20, Y: math.NaN()}}}}, nil},
		{"constant", []Curve{{"solver C", plotter.XYs{{X: 5, Y: 1}, {X: 50, Y: 1}}}}, nil},
	}
	svg, pixels, err := Curves("U-Net calls", panels)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"SSIM", "solver A", "solver B", "another seed", "constant", ">200<", "U-Net calls"} {
		if !strings.Contains(string(svg), text) {
			t.Errorf("%q is not in the drawing", text)
		}
	}
	for _, text := range []string{"nothing", "none", "NaN", "Inf"} {
		if strings.Contains(string(svg), ">"+text) || strings.Contains(string(svg), text+" ") {
			t.Errorf("%q is in the drawing", text)
		}
	}
	if _, err := png.Decode(bytes.NewReader(pixels)); err != nil {
		t.Error(err)
	}
	if _, _, err := Curves("U-Net calls", nil); err != nil {
		t.Errorf("no panels: %v", err)
	}
}
