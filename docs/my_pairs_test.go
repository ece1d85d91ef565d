package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/internal/synth"
)

// my-pairs.yaml opens pairs in each of the layouts that it describes, and training.md quotes it.
func TestMyPairs(t *testing.T) {
	text, err := os.ReadFile("my-pairs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(documents(t)["docs/training.md"], "\n```yaml\n"+string(text)+"```\n") {
		t.Error("training.md doesn't quote my-pairs.yaml")
	}
	dir := t.TempDir()
	writePairs(t, filepath.Join(dir, "pairs"))
	if err := os.WriteFile(filepath.Join(dir, "my-pairs.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache")) // of the demonstration's model
	for name, set := range map[string][]string{
		"folders":  nil,
		"csv":      {"data.layout=csv", "data.dir=pairs/list.csv", "data.validation-fraction=0"},
		"combined": {"data.layout=combined", "data.dir=pairs/combined"},
	} {
		t.Run(name, func(t *testing.T) {
			set := append(set, "model.base=demo", "model.phikon=", "data.crop=64", "train.accumulate=4", "run.device=ref")
			c, values, err := experiments.Load("my-pairs.yaml", set, nil)
			if err != nil {
				t.Fatal(err)
			}
			e, err := experiments.Open(t.Context(), c, values)
			if err != nil {
				t.Fatal(err)
			}
			if train, val := len(e.Pairs.Train), len(e.Pairs.Validation); train != 6 || val != 2 {
				t.Errorf("%d pairs for training and %d for validation, want 6 and 2; %s", train, val, e.Notes)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// writePairs writes 8 pairs of 4 patients: folders he and ihc, list.csv, and the folder combined.
func writePairs(t *testing.T, dir string) {
	c := synth.Default()
	c.Size, c.PatientPairs = 64, 2
	list := "he,ihc,split,patient\n"
	for i := range 8 {
		pair, err := synth.Generate(t.Context(), c, i)
		if err != nil {
			t.Fatal(err)
		}
		both := imagefile.New(128, 64)
		for y := range 64 {
			copy(both.Pix[y*384:], pair.HE.Pix[y*192:][:192])
			copy(both.Pix[y*384+192:], pair.IHC.Pix[y*192:][:192])
		}
		name := pair.Truth.Name + ".png"
		for folder, image := range map[string]*imagefile.Image{"he": pair.HE, "ihc": pair.IHC, "combined": both} {
			if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := imagefile.Write(filepath.Join(dir, folder, name), image, imagefile.WriteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		split := "train"
		if i >= 6 {
			split = "val"
		}
		list += fmt.Sprintf("he/%s,ihc/%[1]s,%s,%s\n", name, split, pair.Truth.Patient)
	}
	if err := os.WriteFile(filepath.Join(dir, "list.csv"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
}
