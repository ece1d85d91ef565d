package infer_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// markersModel is the reference data's tiny model with class labels for the H&E, ER and HER2, whose rows differ.
func markersModel(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "markers")
	if err := model.Extend(t.Context(), golden.Path(t, "tiny"), dir, model.Extension{Classes: 3},
		model.ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := model.WritePurpose(dir, model.Purpose{Markers: []string{"ER", "HER2"}}); err != nil {
		t.Fatal(err)
	}
	network := filepath.Join(dir, "unet")
	s, err := weights.Open(network, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var list []weights.Tensor
	for _, info := range s.Tensors() {
		values, shape, err := s.Float32(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		values = slices.Clone(values)
		if info.Name == unet.ClassTable {
			for i := range values {
				values[i] = float32(math.Sin(float64(i * i)))
			}
		}
		list = append(list, weights.NewTensor(info.Name, shape, values))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := weights.Save(network, list, weights.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newMarkers(t *testing.T, d device.Device) *infer.Pipeline {
	t.Helper()
	p, err := infer.Open(markersModel(t), model.Options{Phikon: golden.Path(t, "tiny-phikon")}, infer.Options{Device: d})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Stains of several markers are those of each marker alone, to the byte, with noise in all steps; the H&E is encoded
// and inverted once.
func TestSeveralMarkersAreEachAlone(t *testing.T) {
	p := newMarkers(t, networktest.Open(t, "auto"))
	s := quick()
	s.EtaInversion = schedule.Paper().EtaTranslation
	images := []*imagefile.Image{pattern(16, 16, 3), pattern(16, 16, 8)}
	translate := func(markers ...string) (results []infer.Result, phases map[infer.Phase]int) {
		phases = map[infer.Phase]int{}
		s.Marker = markers
		results, err := p.Translate(t.Context(), infer.Request{
			Images: images, Settings: s,
			Observe: progress.On(func(e infer.Step) error {
				if e.Index == 0 {
					phases[e.Phase]++
				}
				return nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		return results, phases
	}
	both, phases := translate("her2", "ER")
	want := map[infer.Phase]int{infer.Encoding: 1, infer.Inversion: 1, infer.Translation: 2, infer.Decoding: 2}
	if diff := cmp.Diff(want, phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	her2, _ := translate("HER2")
	er, _ := translate("er")
	for i, r := range slices.Concat(her2, er) {
		if diff := cmp.Diff(r, both[i]); diff != "" {
			t.Errorf("result %d, %s, differs from that of both (%s)", i, r.Marker, both[i].Marker)
		}
	}
	if cmp.Equal(her2[0].Image.Pix, er[0].Image.Pix) || her2[0].Marker != "HER2" {
		t.Errorf("the markers' stains are equal, or the marker is %q", her2[0].Marker)
	}
}

// Files of several markers are those of each alone, with their markers in names and provenance; what is current is
// skipped marker by marker, and another batch changes nothing.
func TestFilesOfSeveralMarkers(t *testing.T) {
	p := newMarkers(t, networktest.Open(t, "auto"))
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	for i := range 3 {
		writeImage(t, filepath.Join(in, string(rune('a'+i))+".png"), pattern(16+8*(i/2), 16, 3+i))
	}
	translate := func(output string, batch int, markers ...string) infer.Summary {
		t.Helper()
		o := infer.FileOptions{Settings: quick(), Batch: batch, Panel: true, Program: "histdist test"}
		o.Settings.Marker = markers
		jobs, err := infer.FindJobs(t.Context(), infer.JobOptions{
			Input: in, Output: output, Ending: ".png", Panel: true, Markers: markers,
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.TranslateFiles(t.Context(), jobs, o)
		if err != nil || len(s.Failed) > 0 {
			t.Fatalf("%+v, %v", s, err)
		}
		return s
	}
	alone, both, some := filepath.Join(dir, "alone"), filepath.Join(dir, "both"), filepath.Join(dir, "some")
	translate(alone, 1, "er")
	translate(alone, 1, "her2")
	if s := translate(both, 2, "ER", "HER2"); s.Done != 6 {
		t.Errorf("%+v", s)
	}
	translate(some, 1, "ER", "HER2")
	for _, name := range []string{"b-er.png", "b-er-panel.png"} {
		if err := os.Remove(filepath.Join(some, name)); err != nil {
			t.Fatal(err)
		}
	}
	if s := translate(some, 3, "HER2", "ER"); s.Done != 1 || s.Skipped != 5 {
		t.Errorf("%+v", s)
	}
	for _, folder := range []string{both, some} {
		if diff := cmp.Diff(files(t, alone), files(t, folder)); diff != "" {
			t.Errorf("%s differs: %.300s", filepath.Base(folder), diff)
		}
	}
	o, err := origin.Read(filepath.Join(both, "a-her2.png"))
	if err != nil || string(o.Settings["marker"]) != `"HER2"` {
		t.Errorf("the provenance says %s, %v", o.Settings["marker"], err)
	}
}

func TestMarkersThatAreRefused(t *testing.T) {
	several, one := newMarkers(t, networktest.Open(t, "auto")), newPipeline(t, networktest.Open(t, "auto"))
	for name, c := range map[string]struct {
		p       *infer.Pipeline
		markers infer.Markers
		says    string
	}{
		"not learnt":      {several, infer.Markers{"er", "PR"}, "want ER, HER2"},
		"none of several": {several, nil, "the model stains for ER, HER2"},
		"twice":           {several, infer.Markers{"er", "ER"}, "one marker"},
		"of one":          {one, infer.Markers{"er"}, "leave it out"},
	} {
		s := quick()
		s.Marker = c.markers
		_, err := c.p.Translate(t.Context(), infer.Request{Images: []*imagefile.Image{pattern(16, 16, 3)}, Settings: s})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	s := quick()
	s.Marker = infer.Markers{"er", "her2"}
	if _, err := several.Windows(t.Context(), s, 1, 16, 16); err == nil ||
		!strings.Contains(err.Error(), "one marker at a time") {
		t.Errorf("windows: %v", err)
	}
	jobs := &infer.Jobs{List: []infer.Job{{Input: "a.png", Output: "b.png"}}}
	if _, err := several.TranslateFiles(t.Context(), jobs, infer.FileOptions{Settings: s}); err == nil ||
		!strings.Contains(err.Error(), "one output for ER, HER2") {
		t.Errorf("one output: %v", err)
	}
}

// A single output keeps its name for one marker; of several each has its own.
func TestNamesOfMarkers(t *testing.T) {
	in := filepath.Join(t.TempDir(), "a.png")
	writeImage(t, in, pattern(16, 16, 3))
	for _, c := range []struct {
		output  string
		markers []string
		want    []string
	}{
		{"x.jpg", []string{"ER"}, []string{"x.jpg"}},
		{"x.jpg", []string{"ER", "HER2"}, []string{"x-er.jpg", "x-her2.jpg"}},
		{"x", []string{"ER"}, []string{filepath.Join("x", "a-er.png")}},
		{"x", nil, []string{filepath.Join("x", "a.png")}},
	} {
		jobs, err := infer.FindJobs(t.Context(), infer.JobOptions{
			Input: in, Output: c.output, Ending: ".png", Markers: c.markers,
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, j := range jobs.List {
			got = append(got, j.Output)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s for %v (-want +got):\n%s", c.output, c.markers, diff)
		}
	}
}
