package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/internal/golden"
)

// replace writes the pixels of one image under the name of another.
func replace(t *testing.T, path, with string) {
	t.Helper()
	img, err := imagefile.Read(with, imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := imagefile.Write(path, img, imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func images(t *testing.T, folder string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	return list
}

// The command translates a folder that is a link, says what it passes over, lists what it can't read, and makes anew
// what has changed.
func TestTranslateFolder(t *testing.T) {
	he, _ := tissueFolder(t, "2")
	link := filepath.Join(t.TempDir(), "slides")
	if err := os.Symlink(he, link); err != nil {
		t.Fatal(err)
	}
	translate := func(want int) string {
		t.Helper()
		var stdout, stderr strings.Builder
		code := run(t.Context(), []string{
			"translate", "--model", golden.Path(t, "tiny"), "--phikon", golden.Path(t,
				"tiny-phikon"), "--input", link, "--output", filepath.Join(link, "out"),
			"--panel", "--steps-inversion", "2", "--steps-translation", "2", "--json",
		}, &stdout, &stderr)
		if code != want {
			t.Fatalf("exit code %d: %s", code, stderr.String())
		}
		return stdout.String() + stderr.String()
	}
	check(t, "first run", translate(exitOK), `{"done":2,"skipped":0,"failed":[]}`)
	again := translate(exitOK)
	check(t, "second run", again, `{"done":0,"skipped":2,"failed":[]}`)
	check(t, "second run", again, "4 virtual stains and panels that this program made are among the inputs")
	list := images(t, he)
	replace(t, list[0], list[1])
	changed := translate(exitOK)
	check(t, "after a change", changed, `{"done":1,"skipped":1,"remade":{"the source has changed":1},"failed":[]}`)
	check(t, "after a change", changed, "translated again: 1 (the source has changed)")
	if err := os.Symlink("nowhere", filepath.Join(he, "disk")); err != nil {
		t.Fatal(err)
	}
	failed := translate(exitFailed)
	check(t, "with a broken link", failed, "disk: the link is broken")
	check(t, "with a broken link", failed, `"skipped":2`)
}

// An evaluation with a model translates again what has changed: the scores are those of the images that are there.
func TestEvaluateModelAfterAChange(t *testing.T) {
	he, ihc := tissueFolder(t, "3")
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("TORCH_HOME", t.TempDir())
	t.Setenv("HISTDIST_TRANSLATE_PHIKON", golden.Path(t, "tiny-phikon"))
	t.Setenv("HISTDIST_TRANSLATE_STEPS_INVERSION", "2")
	t.Setenv("HISTDIST_TRANSLATE_STEPS_TRANSLATION", "2")
	scores := func(output string, extra ...string) (ssim evaluate.Number, stderr string) {
		t.Helper()
		var out, said strings.Builder
		args := append([]string{
			"evaluate", "--real", ihc, "--he", he, "--model", golden.Path(t, "tiny"), "--output", output,
			"--resamples", "100", "--json",
		}, extra...)
		if code := run(t.Context(), args, &out, &said); code != exitOK {
			t.Fatalf("exit code %d: %s", code, said.String())
		}
		var r evaluate.Results
		if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
			t.Fatal(err)
		}
		return r.Metric("ssim").Value, said.String()
	}
	kept := filepath.Join(t.TempDir(), "kept")
	before, _ := scores(kept)
	list := images(t, he)
	replace(t, list[0], list[1])
	after, said := scores(kept)
	check(t, "standard error", said, "translated again: 1 (the source has changed)")
	fresh, _ := scores(filepath.Join(t.TempDir(), "fresh"))
	if after != fresh || after == before {
		t.Errorf("SSIM %v before, %v after the change, %v of a new evaluation", before, after, fresh)
	}
	t.Setenv("HISTDIST_TRANSLATE_SEED", "1")
	_, said = scores(kept)
	check(t, "standard error with another seed", said, "translated again: 3 (made with seed 0, now 1)")
	// What can't be translated again, or is gone, is not scored by an earlier stain.
	if err := os.WriteFile(list[0], []byte("no image"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(list[1]); err != nil {
		t.Fatal(err)
	}
	var out, stderr strings.Builder
	args := []string{
		"evaluate", "--real", ihc, "--he", he, "--model", golden.Path(t, "tiny"), "--output", kept,
		"--resamples", "100", "--json",
	}
	if code := run(t.Context(), args, &out, &stderr); code != exitFailed {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	var r evaluate.Results
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatal(err)
	}
	if n := r.Metric("ssim").N; n != 1 {
		t.Errorf("%d pairs were scored, want the one whose image is there", n)
	}
}
