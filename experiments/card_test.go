package experiments_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/train"
)

// The card of an exported model tells of its run, and of its base no more than the name and the licence.
func TestCardIsOfTheRun(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	if err := os.CopyFS(base, os.DirFS(golden.Path(t, "tiny"))); err != nil {
		t.Fatal(err)
	}
	card := "---\nlicense: creativeml-openrail-m\n---\n# The base\n\nNo real image was used.\n"
	if err := os.WriteFile(filepath.Join(base, "README.md"), []byte(card), 0o644); err != nil {
		t.Fatal(err)
	}
	run, out := t.TempDir(), filepath.Join(t.TempDir(), "model")
	scores := map[string]float64{}
	e := open(t, run, "model.base="+base, "model.marker=ER", "model.mpp=0.25", "train.steps=2", "train.validate-every=2")
	_, err := e.Run(t.Context(), experiments.Launch{Observe: progress.On(func(s train.Scores) error {
		for _, x := range s.Values {
			if s.Step == 2 {
				scores[x.Name] = x.Value
			}
		}
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	d, err := catalog.Open(e.Config.Run.Device, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	o := experiments.ExportOptions{Checkpoint: run, Device: d, ExportOptions: train.ExportOptions{EMA: true}}
	if err := experiments.Export(t.Context(), out, o); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(out, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(got)) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			rows[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[2])
		}
	}
	want := map[string]string{
		"weights":         "the moving average of the parameters after step 2 of 2, in float32",
		"images":          "crops of 64 pixels, flipped and turned, 0.25 µm a pixel",
		"base":            "`" + base + "`, licence creativeml-openrail-m",
		"precision, seed": fmt.Sprintf("%s, %d", e.Config.Train.Precision, e.Config.Train.Seed),
		"ssim":            fmt.Sprintf("%.4g", scores["validation/ssim"]),
		"loss_ema":        fmt.Sprintf("%.4g", scores["validation/loss_ema"]),
	}
	for name := range want {
		if diff := cmp.Diff(want[name], rows[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for text, stated := range map[string]bool{
		"license: creativeml-openrail-m": true, "# H&E to ER": true, e.Config.Data.Root: true,
		"No real image was used": false, "# The base": false,
	} {
		if strings.Contains(string(got), text) != stated {
			t.Errorf("%q is in the card: %v, want %v\n%s", text, !stated, stated, got)
		}
	}
}
