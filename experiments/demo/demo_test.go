package demo_test

import (
	"bytes"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/networktest"
)

// The model in the binary is whole, and small.
func TestModel(t *testing.T) {
	size := int64(0)
	err := fs.WalkDir(demo.Model(), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		size += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if size > 8_000_000 {
		t.Errorf("the model has %d bytes, want at most 8 MB", size)
	}
}

// The model of another version is replaced; a folder of something else stays.
func TestExtract(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "model")
	card := filepath.Join(folder, "README.md")
	for range 2 {
		if err := demo.Extract(folder); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(card); err != nil || string(text) == "other" {
			t.Errorf("%q, %v", text, err)
		}
		if err := os.WriteFile(card, []byte("other"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := demo.Extract(folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(card); err != nil || string(text) != "other" {
		t.Errorf("the folder was changed: %q, %v", text, err)
	}
}

// A demonstration makes its files, the same ones each time, and a model that can be inspected.
func TestRun(t *testing.T) {
	folder := t.TempDir()
	d := networktest.Open(t, "auto")
	var made [2][]byte
	for i := range made {
		r, err := demo.Run(t.Context(), folder, demo.Options{Device: d, Steps: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{r.HE, r.Virtual, r.True, r.Panel} {
			m, err := imagefile.Read(path, imagefile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if path == r.Virtual {
				made[i] = m.Pix
			}
		}
		if !(r.TrueBrown > 0 && r.TrueBrown < 1 && r.VirtualBrown >= 0 && r.VirtualBrown < 1) {
			t.Errorf("brown: %g and %g", r.TrueBrown, r.VirtualBrown)
		}
		report, err := model.Inspect(r.Model, model.Options{})
		if err != nil || !report.Healthy() {
			t.Errorf("model: %+v, %v", report.Problems, err)
		}
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("the second demonstration gives another stain")
	}
}

// A copy of the H&E is nothing like the stain, and the mean colour has no structure, whatever the model.
func TestMeasure(t *testing.T) {
	o := demo.MeasureOptions{Pieces: 3, Ablation: 2, Steps: 2, Device: networktest.Open(t, "auto")}
	folder := filepath.Join(t.TempDir(), "eval")
	rows, err := demo.Measure(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 7 {
		t.Fatalf("%d rows, want 7", len(rows))
	}
	for _, r := range rows {
		if !r.SSIM.Known() || !r.PSNR.Known() || !r.Dice.Known() {
			t.Errorf("%+v", r)
		}
	}
	if he, flat := rows[1], rows[2]; !(he.Dice > 0.9 && flat.Dice < 0.1) {
		t.Errorf("Dice of a copy %v, of one colour %v", he.Dice, flat.Dice)
	}
	if whole, part := rows[3], rows[4]; whole.PSNR == part.PSNR {
		t.Error("without tokens the result is the same")
	}
	var table strings.Builder
	if err := demo.WriteTable(&table, rows); err != nil || strings.Count(table.String(), "\n") != 8 {
		t.Errorf("%v:\n%s", err, &table)
	}
}

// The presets that are not the paper's take the calls that the documents say, and make about as much brown as is true.
func TestPresets(t *testing.T) {
	for preset, want := range map[string]int{model.PresetBalanced: 20, model.PresetFast: 4} {
		calls := 0
		r, err := demo.Run(t.Context(), t.TempDir(), demo.Options{
			Device: networktest.Open(t, "auto"), Preset: preset,
			Observe: progress.On(func(e infer.Start) error {
				calls = e.Calls
				return nil
			}),
		})
		if err != nil {
			t.Fatalf("%s: %v", preset, err)
		}
		if calls != want {
			t.Errorf("%s: %d calls of the U-Net, want %d", preset, calls, want)
		}
		if math.Abs(r.VirtualBrown-r.TrueBrown) > 0.2 {
			t.Errorf("%s: %.3f of the stain is brown, and %.3f of the true one", preset, r.VirtualBrown, r.TrueBrown)
		}
	}
}
