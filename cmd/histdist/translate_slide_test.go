package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/openslide"
)

// translation runs translate with the small model and a few steps.
func translation(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, log strings.Builder
	code = run(t.Context(), append([]string{
		"translate", "--model", golden.Path(t, "tiny"), "--phikon", golden.Path(t, "tiny-phikon"),
		"--steps-inversion", "2", "--steps-translation", "2",
	}, args...), &out, &log)
	return out.String(), log.String(), code
}

// A dry run says on standard output what a slide takes, in mm², tiles and calls, and how long on each device; it writes
// nothing.
func TestDryRun(t *testing.T) {
	t.Setenv(openslide.Variable, openslide.Off)
	folder := t.TempDir()
	in, out := filepath.Join(folder, "he.ome.tiff"), filepath.Join(folder, "er.ome.tiff")
	if err := writeSlide(in); err != nil {
		t.Fatal(err)
	}
	said, log, code := translation(t, "--input", in, "--output", out, "--dry-run", "--preview", "--region", "480,0,96,96")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, log)
	}
	for _, want := range []string{
		`^image: 1500×600 pixels, of which 0\.\d %% are translated: 0\.00\d+ mm²\n`,
		`\nwindows: \d+ of \d+ pixels in \d+ regions?; overlaps make \d\.\d+ times`, `\nU-Net calls: \d+\n`,
		`\npreview: \d+ U-Net calls`, `\nmemory: \d+ MB beyond the networks; disk: up to \d+ MB`,
		`\ntime on (cpu|ref): \S+, measured: \S+ for a U-Net call`,
	} {
		if !regexp.MustCompile(strings.ReplaceAll(want, "%%", "%")).MatchString(said) {
			t.Errorf("want %s:\n%s", want, said)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: a dry run wrote files", entries, err)
	}
}

// The command line reaches the preview and pixels without loss.
func TestSlideOptions(t *testing.T) {
	t.Setenv(openslide.Variable, openslide.Off)
	folder := t.TempDir()
	in, out := filepath.Join(folder, "he.ome.tiff"), filepath.Join(folder, "er.ome.tiff")
	if err := writeSlide(in); err != nil {
		t.Fatal(err)
	}
	_, log, code := translation(t, "--input", in, "--output", out, "--preview", "--region", "500,0,128,96",
		"--compression", "deflate")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, log)
	}
	check(t, "what was said", log, mosaic.PreviewName(out))
	text := ""
	statements, err := imagefile.ReadProvenance(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		text += s.Value
	}
	check(t, "the provenance", text, `"compression":"deflate"`)
	if kind := imagefile.KindOf(mosaic.PreviewName(out)); kind != imagefile.Preview {
		t.Errorf("the preview is %q", kind)
	}
}

// With --shard a dry run says what of a folder is the shard's, and a slide's plan; without, a folder has none.
func TestDryRunOfShards(t *testing.T) {
	t.Setenv(openslide.Variable, openslide.Off)
	folder := t.TempDir()
	in, out := filepath.Join(folder, "in"), filepath.Join(folder, "out")
	if err := os.Mkdir(in, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, side := range map[string]int{"a": 60, "b": 40, "c": 32} {
		m := imagefile.New(side, 20)
		if err := imagefile.Write(filepath.Join(in, name+".png"), m, imagefile.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	said, log, code := translation(t, "--input", in, "--output", out, "--shard", "2/2", "--dry-run")
	if code != exitOK || said != "shard 2/2: 2 of 3 images, 54.5 % of the pixels; done: 0\n"+
		"begins with: b.png\nbegins with: c.png\nthen what is left of the other shards\n" {
		t.Errorf("exit code %d: %s%s", code, said, log)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a dry run wrote something")
	}
	if _, log, code := translation(t, "--input", in, "--output", out, "--dry-run"); code == exitOK ||
		!strings.Contains(log, "--shard") {
		t.Errorf("without --shard: exit code %d: %s", code, log)
	}
	slide := filepath.Join(folder, "he.ome.tiff")
	if err := writeSlide(slide); err != nil {
		t.Fatal(err)
	}
	said, log, code = translation(t, "--input", slide, "--output", filepath.Join(folder, "er.ome.tiff"),
		"--region", "480,0,96,96", "--shard", "1/2", "--dry-run")
	if code != exitOK || !strings.Contains(said, "shard 1/2: regions") || !strings.Contains(said, "U-Net calls") {
		t.Errorf("exit code %d: %s%s", code, said, log)
	}
	auto := []string{
		"--input", folder, "--output", filepath.Join(folder, "slides"), "--format", "ome.tiff", "--shard", "auto", "--dry-run",
	}
	said, log, code = translation(t, auto...)
	if code == exitOK || !strings.Contains(log, "SLURM_ARRAY_TASK_ID") {
		t.Errorf("no array: exit code %d: %s%s", code, said, log)
	}
	t.Setenv("SLURM_ARRAY_TASK_ID", "3")
	t.Setenv("SLURM_ARRAY_TASK_COUNT", "4")
	said, log, code = translation(t, auto...)
	if code != exitOK || !strings.HasPrefix(said, "shard 4/4: 0 of 1 slides, 0.0 % of the files' bytes; done: 0\n") {
		t.Errorf("slides: exit code %d: %s%s", code, said, log)
	}
}
