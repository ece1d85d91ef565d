package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/openslide"
	"github.com/histdist/histdist/internal/synth"
)

// What every command prints and how it exits, in one file a command. After a change of wording, -rewrite writes the
// files anew. Commands run in a folder with the files that workplace makes; what a command that failed has left there
// is listed.
func TestCommands(t *testing.T) {
	files, err := filepath.Abs("testdata/commands")
	if err != nil {
		t.Fatal(err)
	}
	workplace(t)
	datadriven.Walk(t, files, func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			before := list(t)
			var out strings.Builder
			code := run(t.Context(), strings.Fields(d.Input), &out, &out)
			said := portable(out.String())
			if code != exitOK {
				said += fmt.Sprintf("exit code %d\n", code)
				for _, name := range list(t) {
					if !slices.Contains(before, name) {
						said += "left behind: " + name + "\n"
					}
				}
			}
			return said
		})
	})
}

var (
	devices    = regexp.MustCompile(`auto, (cpu, )?ref(, cuda:0, cuda:1, …)?`)
	times      = regexp.MustCompile(`time=\S+ | left=\S+`)
	stageLine  = regexp.MustCompile(`(?m)^(.*: \d+ of \d+|intervals)\n`)
	number     = regexp.MustCompile(`[−-]?\b\d+(\.\d+)?(e-\d+)?\b%?`)
	spaces     = regexp.MustCompile(`(?m) {2,}| +$`)
	processor  = regexp.MustCompile(`(?m)^([A-Z0-9]+|cuda library) .*\n`)
	doctorLine = regexp.MustCompile(`(?m)^(.{14} ).*$`)
)

// portable replaces what depends on the machine, the build and the time.
func portable(text string) string {
	text = times.ReplaceAllString(devices.ReplaceAllString(text, "DEVICES"), "")
	switch {
	case strings.HasPrefix(text, "histdist       "):
		text = doctorLine.ReplaceAllString(processor.ReplaceAllString(text, ""), "$1…")
	case strings.Contains(text, "results: "): // of an evaluation
		text = spaces.ReplaceAllString(number.ReplaceAllString(stageLine.ReplaceAllString(text, ""), "#"), " ")
	}
	return text
}

// list names the files and folders of the working folder.
func list(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// workplace makes a folder of inputs and changes to it.
func workplace(t *testing.T) {
	t.Helper()
	tiny, phikon := golden.Path(t, "tiny"), golden.Path(t, "tiny-phikon")
	t.Chdir(t.TempDir())
	t.Setenv("HF_HOME", "huggingface")
	t.Setenv("HF_HUB_OFFLINE", "1")
	t.Setenv("TORCH_HOME", "torch")
	t.Setenv(openslide.Variable, openslide.Off)
	c := synth.Default()
	c.Pairs, c.ValPairs, c.PatientPairs, c.Size = 1, 3, 1, 64
	write := func(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
	for _, err := range []error{
		synth.Write(t.Context(), "tissue", c, nil),
		os.Symlink(filepath.Join("tissue", "TrainValAB", "valA"), "he"),
		os.Symlink(filepath.Join("tissue", "TrainValAB", "valB"), "ihc"),
		os.Symlink(tiny, "model"), os.Symlink(phikon, "phikon"),
		os.Mkdir("empty", 0o755), os.Mkdir("strangers", 0o755), os.MkdirAll("run/checkpoint-5", 0o755),
		imagefile.Write("he.png", imagefile.New(16, 16), imagefile.WriteOptions{}),
		imagefile.Write("strangers/x.png", imagefile.New(64, 64), imagefile.WriteOptions{}),
		writeSlide("slide.ome.tiff"),
		write("empty.png", ""), write("wrong.pth", "no weights"), write("pairs.csv", "he,ihc\n"),
		write("old.yaml", "evaluate:\n  fake: he\n"), write("run/latest", "checkpoint-5"), write("run/experiment.yaml",
			"extends: er\n"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// writeSlide makes a slide with one tile of tissue.
func writeSlide(path string) error {
	w, err := tiff.CreateSlide(path, tiff.SlideOptions{
		Width: 1500, Height: 600, MPP: [2]float64{0.5, 0.5}, Quality: 90,
		Description: tiff.Description{Image: "a slide", Channel: "H&E", Magnification: 20},
	})
	if err != nil {
		return err
	}
	defer w.Discard()
	columns, rows := w.Tiles()
	for row := range rows {
		for column := range columns {
			colour := [3]uint8{240, 238, 241}
			if row == 0 && column == 1 {
				colour = [3]uint8{220, 140, 190}
			}
			if err := w.FillTile(column, row, colour); err != nil {
				return err
			}
		}
	}
	return w.Close()
}
