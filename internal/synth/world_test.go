package synth

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/slide"
	mask "github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/graph/progress"
)

// Windows of a slide fit together: what two of them share has the same pixels and the same nuclei.
func TestWindowsFitTogether(t *testing.T) {
	for _, marker := range []Marker{ER, HER2} {
		c := DefaultSlide()
		c.Width, c.Height, c.Islands, c.Tissue, c.Marker, c.Seed = 1536, 1024, 1, 0.5, marker, 7
		w := newWorld(c)
		upper, ok := w.render(c, image.Rect(512, 512, 1024, 640))
		whole, okWhole := w.render(c, image.Rect(512, 448, 1024, 704))
		if !ok || !okWhole {
			t.Fatal("no tissue in the middle")
		}
		const above, height = 64, 128
		for name, both := range map[string][2][]uint8{"H&E": {upper.he, whole.he}, string(marker): {upper.ihc, whole.ihc}} {
			differ := 0
			for i, v := range both[0] {
				if v != both[1][3*512*above+i] {
					differ++
				}
			}
			if differ > 0 {
				t.Errorf("%s: %d of %d values differ", name, differ, 3*512*height)
			}
		}
		inside := whole.nuclei[:0:0]
		for _, n := range whole.nuclei {
			if n.y >= 512*c.MPP && n.y < 640*c.MPP {
				inside = append(inside, n)
			}
		}
		if len(inside) == 0 || len(inside) != len(upper.nuclei) {
			t.Errorf("%d nuclei, but %d where the window is larger", len(upper.nuclei), len(inside))
		}
		for i := range min(len(inside), len(upper.nuclei)) {
			if inside[i] != upper.nuclei[i] {
				t.Errorf("nucleus %d differs", i)
			}
		}
	}
}

// The slides have the size, the micrometres and the stains that were asked for, their truth agrees with them, and a
// second call leaves them alone.
func TestWriteSlide(t *testing.T) {
	c := DefaultSlide()
	c.Width, c.Height, c.Islands, c.Tissue, c.Quality = 1300, 700, 1, 0.15, 0
	dir := filepath.Join(t.TempDir(), "slide")
	if err := WriteSlide(t.Context(), dir, c, nil); err != nil {
		t.Fatal(err)
	}
	w := newWorld(c)
	he, ihc := w.glass()
	var masks []*mask.Mask
	for name, glass := range map[string][3]uint8{SlideHE: he, SlideIHC: ihc} {
		s, err := slide.Open(filepath.Join(dir, name), slide.Options{Library: slide.NoLibrary})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if s.Width != 1300 || s.Height != 700 || s.MPP != [2]float64{0.5, 0.5} || len(s.Info().Levels) != 2 {
			t.Errorf("%s: %d×%d of %v µm, levels %v", name, s.Width, s.Height, s.MPP, s.Info().Levels)
		}
		r := c.part(0, 0)
		rendered, ok := w.render(c, r)
		if !ok {
			t.Fatal("no tissue")
		}
		want := map[string][]uint8{SlideHE: rendered.he, SlideIHC: rendered.ihc}[name]
		got, err := s.Whole().Read(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Pix, want) {
			t.Errorf("%s: the pixels are not those that were made", name)
		}
		if [3]uint8(got.Pix) != glass {
			t.Errorf("%s: the corner is %v, want glass, %v", name, got.Pix[:3], glass)
		}
		if name != SlideHE {
			continue
		}
		for _, option := range []string{mask.Auto, filepath.Join(dir, SlideIslands)} {
			m, err := mask.Choose(t.Context(), s, option)
			if err != nil {
				t.Fatal(err)
			}
			masks = append(masks, m)
		}
		both, either := 0, 0
		for i, in := range masks[0].In {
			if in && masks[1].In[i] {
				both++
			}
			if in || masks[1].In[i] {
				either++
			}
		}
		if float64(both) < 0.85*float64(either) {
			t.Errorf("of %d pixels of tissue, found or true, %d are both", either, both)
		}
	}
	var nuclei struct{ Features []nucleusFeature }
	text, err := os.ReadFile(filepath.Join(dir, SlideNuclei))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &nuclei); err != nil || len(nuclei.Features) < 100 {
		t.Fatalf("%v, or only %d nuclei", err, len(nuclei.Features))
	}
	for _, f := range nuclei.Features {
		n := f.Properties.Nucleus
		if w.inside(n.X*c.MPP, n.Y*c.MPP) < 0 || n.Positive != (c.Marker.Express(n.Morphology) > 0) {
			t.Errorf("a nucleus outside the tissue, or of the wrong expression: %+v", n)
		}
	}
	before := modified(t, dir)
	if err := WriteSlide(t.Context(), dir, c, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, modified(t, dir)); diff != "" {
		t.Errorf("a second call wrote:\n%s", diff)
	}
	c.Seed++
	if err := WriteSlide(t.Context(), dir, c, nil); err == nil {
		t.Error("another slide is written into the folder")
	}
}

// modified lists the files of a folder by name and time.
func modified(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]string{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		times[e.Name()] = info.ModTime().String()
	}
	return times
}

func TestSlideConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*SlideConfig){
		"width":   func(c *SlideConfig) { c.Width = 10 },
		"mpp":     func(c *SlideConfig) { c.MPP = 1 },
		"islands": func(c *SlideConfig) { c.Islands = 0 },
		"tissue":  func(c *SlideConfig) { c.Tissue = 0.9 },
		"marker":  func(c *SlideConfig) { c.Marker = "x" },
	} {
		c := DefaultSlide()
		change(&c)
		if err := WriteSlide(t.Context(), filepath.Join(t.TempDir(), "x"), c, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Where there is no room for the islands that were asked for, that is said; where there is, nothing.
func TestRoomForIslands(t *testing.T) {
	for name, c := range map[string]struct {
		islands int
		share   float64
		want    string
	}{"room": {2, 0.1, ""}, "no room": {300, 0.6, " of 300 islands"}, "too narrow": {1, 0.6, "1 of 1 islands"}} {
		config := DefaultSlide()
		config.Width, config.Height, config.Islands, config.Tissue = 900, 256, c.islands, c.share
		var said []string
		stop := errors.New("stop")
		err := WriteSlide(t.Context(), filepath.Join(t.TempDir(), "slide"), config, func(event any) error {
			if n, ok := event.(progress.Note); ok {
				said = append(said, string(n))
			}
			return stop // with the note or the first row
		})
		if all := strings.Join(said, "; "); !errors.Is(err, stop) || (c.want == "") != (all == "") ||
			!strings.Contains(all, c.want) {
			t.Errorf("%s: %v, %q, want %q", name, err, all, c.want)
		}
	}
}
