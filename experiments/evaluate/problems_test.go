package evaluate_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/features"
)

// What can't be computed is told, and the rest is there.
func TestProblems(t *testing.T) {
	folder, names := tissue(t, 12, 64)
	fake := filepath.Join(folder, "fake")
	for _, name := range names {
		copyFile(t, filepath.Join(fake, name+".png"), filepath.Join(folder, "he", name+".png"))
	}
	// One of another size, one that is cut off, one without a partner.
	save(t, filepath.Join(fake, names[3]+".png"), imagefile.New(70, 64))
	if err := os.Truncate(filepath.Join(fake, names[5]+".png"), 2000); err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(fake, "stranger.png"), imagefile.New(64, 64))
	o := options(t, folder, fake)
	for i := range o.Networks {
		switch o.Networks[i].Kind {
		case features.Inception:
			o.Networks[i].Open = func() (evaluate.Extractor, error) {
				return nil, errors.New("w.pth: no tensor Conv2d_1a_3x3.conv.weight")
			}
		case features.GigaPath:
			o.Networks[i].Open = func() (evaluate.Extractor, error) {
				return nil, fmt.Errorf("%w: they come from example.org", features.ErrNoWeights)
			}
		}
	}
	r, table := run(t, o)
	if !r.Failed() {
		t.Error("nothing failed")
	}
	text := fmt.Sprint(r.Problems)
	for _, want := range []string{names[3], "64×64", "70×64", names[5] + ".png", "Conv2d_1a_3x3"} {
		if !strings.Contains(text, want) {
			t.Errorf("problems do not name %q:\n%v", want, r.Problems)
		}
	}
	want := []evaluate.NotComputed{
		{Name: "KID", Reason: "w.pth: no tensor Conv2d_1a_3x3.conv.weight"},
		{Name: "KID (all images)", Reason: "w.pth: no tensor Conv2d_1a_3x3.conv.weight"},
		{Name: "MRA top-1 (GigaPath)", Reason: "no weights: they come from example.org"},
		{Name: "MRA top-3 (GigaPath)", Reason: "no weights: they come from example.org"},
	}
	if diff := cmp.Diff(want, r.NotComputed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]evaluate.Missing{{Path: filepath.Join(fake, "stranger.png"), Folder: o.Real}},
		r.Missing); diff != "" {
		t.Error(diff)
	}
	if n := r.Metric("ssim").N; n != 10 {
		t.Errorf("SSIM of %d pairs: want 10", n)
	}
	if n := r.Metric("fid").N; n != 11 {
		t.Errorf("FID of %d pairs: want 11, for features know no size", n)
	}
	if v := table.Values("ssim")[3]; !math.IsNaN(v) {
		t.Errorf("SSIM of images of two sizes is %v", v)
	}
	for _, id := range []string{"ssim", "fid", "phv_layer1", "retrieval_phikon_top1", "dab90_pearson"} {
		if m := r.Metric(id); m == nil || !m.Value.Known() {
			t.Errorf("%s is missing: %+v", id, m)
		}
	}
	for _, out := range []string{r.Text(), r.Markdown()} {
		for _, want := range []string{"stranger.png", "example.org", "70×64"} {
			if !strings.Contains(out, want) {
				t.Errorf("the text does not name %q", want)
			}
		}
	}
}

// One pair has likeness, but no distribution.
func TestOnePair(t *testing.T) {
	folder, names := tissue(t, 1, 64)
	o := options(t, folder, filepath.Join(folder, "he"))
	r, _ := run(t, o)
	if m := r.Metric("ssim"); !m.Value.Known() || m.Interval != nil || m.N != 1 {
		t.Errorf("SSIM of %s: %+v", names[0], m)
	}
	for _, id := range []string{"fid", "kid"} {
		if m := r.Metric(id); m.Value.Known() || m.Undefined == "" {
			t.Errorf("%s of one image: %+v", id, m)
		}
	}
	if !r.Failed() {
		t.Error("FID of one image did not fail")
	}
}

func TestNoPairs(t *testing.T) {
	folder, _ := tissue(t, 1, 64)
	save(t, filepath.Join(folder, "other", "x.png"), imagefile.New(64, 64))
	o := options(t, folder, filepath.Join(folder, "other"))
	if _, _, err := evaluate.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no pairs") ||
		!strings.Contains(err.Error(), "x.png") {
		t.Errorf("folders without pairs: %v", err)
	}
	o.Virtual = filepath.Join(folder, "nowhere")
	if _, _, err := evaluate.Run(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
