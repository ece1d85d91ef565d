package infer_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/stain"
)

// newMatch is a match between two laboratories.
func newMatch(t *testing.T) *stain.Match {
	t.Helper()
	m, err := stain.NewMatch(
		stain.Appearance{
			Haematoxylin: stain.Vector{0.65, 0.70, 0.29}, DAB: stain.Vector{0.27, 0.57, 0.78}, Density: [2]float64{0.5, 0.8},
		},
		stain.Appearance{
			Haematoxylin: stain.Vector{0.60, 0.68, 0.42}, DAB: stain.Vector{0.36, 0.60, 0.72}, Density: [2]float64{0.7, 0.6},
		})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A match changes the colours of a finished stain and nothing else, is stated in the output, and is part of what makes
// it current.
func TestMatchedStain(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	dir := t.TempDir()
	in := filepath.Join(dir, "a.png")
	writeImage(t, in, pattern(16, 16, 3))
	o := infer.FileOptions{Settings: quick(), Program: "histdist test"}
	translate := func(output string) infer.Summary {
		s, err := p.TranslateFiles(t.Context(), &infer.Jobs{List: []infer.Job{{Input: in, Output: output}}}, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	read := func(path string) *imagefile.Image {
		m, err := imagefile.Read(path, imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	plain, matched := filepath.Join(dir, "plain.png"), filepath.Join(dir, "matched.png")
	translate(plain)
	o.Match = newMatch(t)
	if s := translate(matched); s.Done != 1 {
		t.Fatalf("%+v", s)
	}
	want := read(plain)
	o.Match.Apply(want.Pix)
	if !slices.Equal(read(matched).Pix, want.Pix) || slices.Equal(want.Pix, read(plain).Pix) {
		t.Error("the output is not the stain with its colours matched")
	}
	of, err := origin.Read(matched)
	if err != nil || !strings.Contains(string(of.Settings["match"]), `"density":[0.7,0.6]`) {
		t.Errorf("settings %s, %v", of.Settings["match"], err)
	}
	if s := translate(matched); s.Skipped != 1 {
		t.Errorf("again: %+v", s)
	}
	if s := translate(plain); len(s.Failed) != 1 || !strings.Contains(s.Failed[0].Error, "match unset") {
		t.Errorf("an output without the match: %+v", s)
	}
}
