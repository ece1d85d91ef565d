package registration_test

import (
	"bytes"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/registration"
)

// set writes n pairs: one that is only shifted, one that is also turned, and one of two tissues.
func set(t *testing.T, n int) (folder string, pairs []data.Pair) {
	t.Helper()
	folder = t.TempDir()
	all := []registration.Transform{{DX: 7, DY: -4, Scale: 1}, {DX: 2, DY: 5, Angle: 3, Scale: 1}, {Scale: 1}}
	for i, off := range all[:n] {
		he, ihc := pairOf(t, i, 192, off)
		if i == 2 {
			_, ihc = pairOf(t, 5, 192, off)
		}
		p := data.Pair{
			Name: fmt.Sprint("p", i), Split: "train", Patient: fmt.Sprint("patient", i), Width: 192, Height: 192,
			HE:  data.Source{Path: filepath.Join(folder, fmt.Sprint("he", i, ".png"))},
			IHC: data.Source{Path: filepath.Join(folder, fmt.Sprint("ihc", i, ".png"))},
		}
		write(t, p.HE.Path, he)
		write(t, p.IHC.Path, ihc)
		pairs = append(pairs, p)
	}
	return folder, pairs
}

func write(t *testing.T, path string, m *imagefile.Image) {
	t.Helper()
	if err := imagefile.Write(path, m, imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var b []byte
			b, err = os.ReadFile(path)
			name, _ := filepath.Rel(folder, path)
			all[filepath.ToSlash(name)] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAlign(t *testing.T) {
	folder, pairs := set(t, 3)
	before := contents(t, folder)
	o := registration.AlignOptions{Output: t.TempDir(), MinSize: 128, Program: "test"}
	list, err := registration.Align(t.Context(), pairs, o)
	if err != nil {
		t.Fatal(err)
	}
	if list[0].Dropped != "" || list[1].Dropped != "" || !strings.Contains(list[2].Dropped, "same tissue") {
		t.Fatalf("%+v", list)
	}
	aligned, err := data.Open(t.Context(), data.Location{Root: filepath.Join(o.Output, registration.ListFile)},
		data.CorruptError)
	if err != nil {
		t.Fatal(err)
	}
	if len(aligned.Pairs) != 2 || aligned.Pairs[1].Patient != "patient1" || aligned.Pairs[1].Split != "train" {
		t.Fatalf("%+v", aligned.Pairs)
	}
	for _, p := range aligned.Pairs {
		he, ihc, err := p.Read(imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := registration.Register(he, ihc); err != nil || r.Shift() > 0.5 || r.Angle > 0.2 || r.Angle < -0.2 {
			t.Errorf("%s: %+v, %v", p.Name, r, err)
		}
	}
	// What is only shifted keeps its pixels.
	if want := image.Rect(0, 4, 185, 192); list[0].Crop != want {
		t.Fatalf("crop %v, want %v", list[0].Crop, want)
	}
	_, source, err := pairs[0].Read(imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, moved, err := aligned.Pairs[0].Read(imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for y := range moved.Height {
		if !bytes.Equal(moved.Pix[3*y*moved.Width:][:3*moved.Width], source.Pix[3*(y*source.Width+7):][:3*moved.Width]) {
			t.Fatalf("row %d has other pixels", y)
		}
	}
	report, err := os.ReadFile(filepath.Join(o.Output, registration.ReportFile))
	if err != nil || strings.Count(string(report), "\n") != 4 {
		t.Errorf("%s, %v", report, err)
	}

	// A run that ended early goes on, to the same files.
	first := contents(t, o.Output)
	for _, name := range []string{"train/ihc/p1.png", registration.ListFile} {
		if err := os.Remove(filepath.Join(o.Output, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := registration.Align(t.Context(), pairs, o); err != nil {
		t.Fatal(err)
	}
	second := contents(t, o.Output)
	for name, content := range first {
		if second[name] != content {
			t.Errorf("%s differs after a run that went on", name)
		}
	}
	for name, content := range contents(t, folder) {
		if before[name] != content {
			t.Errorf("%s of the data set has changed", name)
		}
	}

	// Nothing of the data set is written to, and nothing of anybody else.
	for i := range pairs {
		pairs[i].HE, pairs[i].IHC = aligned.Pairs[0].HE, aligned.Pairs[0].IHC
	}
	if _, err := registration.Align(t.Context(), pairs[:1], o); err == nil || !strings.Contains(err.Error(), "itself") {
		t.Errorf("onto its own input: %v", err)
	}
	if _, err := registration.Align(t.Context(), pairs[:0], registration.AlignOptions{}); err == nil {
		t.Error("without an output")
	}
}

// A file that something else has made is not replaced.
func TestAlignKeepsOthersFiles(t *testing.T) {
	_, pairs := set(t, 1)
	o := registration.AlignOptions{Output: t.TempDir(), Program: "test"}
	path := filepath.Join(o.Output, "train", "he", "p0.png")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, path, imagefile.New(8, 8))
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = registration.Align(t.Context(), pairs, o)
	if err == nil || !strings.Contains(err.Error(), "dropped") {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file has changed: %v", err)
	}
}
