package mosaic

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/infer"
)

// planned plans an image with a model whose windows are 512 pixels.
func planned(t rapid.TB, width, height int, change func(*Request)) Plan {
	t.Helper()
	r := Request{
		Source:   Memory{&imagefile.Image{Width: width, Height: height}},
		Sampling: infer.DefaultSettings(), Settings: DefaultSettings(),
	}
	if change != nil {
		change(&r)
	}
	v, err := r.prepare(model{window: 512, factor: 8})
	if err != nil {
		t.Fatal(err)
	}
	return v.plan
}

// Overlaps make at most 1.8 times the work of tiles without, on images of any size that are translated as a whole and
// have three windows in each direction or one, in the regions of the defaults; and windows still overlap by an eighth.
func TestOverlapIsBoundedProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.OneOf(rapid.IntRange(1, 512), rapid.IntRange(1025, 4000), rapid.IntRange(4000, 120_000))
		width, height := side.Draw(t, "width"), side.Draw(t, "height")
		if p := planned(t, width, height, nil); p.Overlap > 1.8 || p.Dear != "" {
			t.Fatalf("%d×%d: %.3f times the work, %q", width, height, p.Overlap, p.Dear)
		}
		l := newLayout(width, height, 8, 512, DefaultSettings(), Everything(width, height))
		for _, a := range []axis{l.rows, l.cols} {
			for k := 1; k < len(a.starts); k++ {
				if o := a.starts[k-1] + a.window - a.starts[k]; o < 8 {
					t.Fatalf("%d×%d: windows overlap by %d latents of %d", width, height, o, a.window)
				}
			}
		}
	})
}

// Where the bound can't hold, the plan says why; where it holds, nothing is said. Whatever the tissue and the settings.
func TestPlanSaysWhyItIsDearProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(1, 6000)
		width, height := side.Draw(t, "width"), side.Draw(t, "height")
		m := Mask{Cell: 128, Width: (width + 127) / 128, Height: (height + 127) / 128}
		m.Cells = make([]bool, m.Width*m.Height)
		for range rapid.IntRange(1, 4).Draw(t, "islands") {
			x, y := rapid.IntRange(0, m.Width-1).Draw(t, "x"), rapid.IntRange(0, m.Height-1).Draw(t, "y")
			for j := y; j < min(y+rapid.IntRange(1, 20).Draw(t, "h"), m.Height); j++ {
				for i := x; i < min(x+5, m.Width); i++ {
					m.Cells[j*m.Width+i] = true
				}
			}
		}
		p := planned(t, width, height, func(r *Request) {
			r.Mask = m
			r.Settings.Overlap = rapid.SampledFrom([]float64{0, 0.1, 0.25, 0.4}).Draw(t, "overlap")
			r.Settings.Region = rapid.SampledFrom([]int{0, 1024, 2048, 8192}).Draw(t, "region")
			r.Settings.Independent = rapid.Bool().Draw(t, "independent")
		})
		if (p.Overlap > 1.8) != (p.Dear != "") || p.Dear != "" != strings.Contains(p.String(), "because") {
			t.Fatalf("%.3f times the work, %q:\n%s", p.Overlap, p.Dear, p)
		}
	})
}

// The reasons are those that a user can do something about.
func TestWhyItIsDear(t *testing.T) {
	for name, c := range map[string]struct {
		width, height int
		change        func(*Request)
		want          string
	}{
		"hardly larger than a window": {1024, 1024, nil, "a window of 512 pixels"},
		"small regions":               {8192, 8192, func(r *Request) { r.Settings.Region = 1024 }, "regions of 1024 pixels"},
		"asked for":                   {8192, 8192, func(r *Request) { r.Settings.Overlap = 0.5 }, "share 0.5"},
	} {
		if p := planned(t, c.width, c.height, c.change); !strings.Contains(p.Dear, c.want) {
			t.Errorf("%s: %.2f, %q, want %q", name, p.Overlap, p.Dear, c.want)
		}
	}
}

// A plan says what is translated in pixels, in mm² and as a share.
func TestPlanSaysTheArea(t *testing.T) {
	p := planned(t, 4000, 2000, func(r *Request) {
		r.MPP = [2]float64{0.5, 0.5}
		r.Mask = Mask{Cell: 2000, Width: 2, Height: 1, Cells: []bool{true, false}}
	})
	if p.Tissue != 4_000_000 || p.Area != 1 || !strings.Contains(p.String(), "50.0 % are translated: 1 mm²") {
		t.Errorf("%+v:\n%s", p, p)
	}
	if p := planned(t, 4000, 2000, nil); p.Area != 0 || strings.Contains(p.String(), "mm²") {
		t.Errorf("pixels of unknown size: %s", p)
	}
}
