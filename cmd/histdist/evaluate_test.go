package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/internal/golden"
)

// tissueFolder makes a small validation set and returns its folders of H&E and IHC images.
func tissueFolder(t *testing.T, pairs string) (he, ihc string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "set")
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{
		"data", "synth", "--output", out, "--pairs", "0", "--val-pairs", pairs,
		"--patient-pairs", "1", "--size", "64",
	}, &stdout, &stderr); code != exitOK {
		t.Fatal(stderr.String())
	}
	return filepath.Join(out, "TrainValAB", "valA"), filepath.Join(out, "TrainValAB", "valB")
}

// tinyTranslations is a Phikon, and the environment in which models translate with it in a few steps.
func tinyTranslations(t *testing.T) (phikon string) {
	t.Helper()
	phikon = golden.Path(t, "tiny-phikon")
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("TORCH_HOME", t.TempDir())
	t.Setenv("HISTDIST_TRANSLATE_PHIKON", phikon)
	t.Setenv("HISTDIST_TRANSLATE_STEPS_INVERSION", "2")
	t.Setenv("HISTDIST_TRANSLATE_STEPS_TRANSLATION", "2")
	return phikon
}

// With a model the command translates first, evaluates, and translates nothing again.
func TestEvaluateModel(t *testing.T) {
	he, ihc := tissueFolder(t, "3")
	phikon := tinyTranslations(t)
	out := filepath.Join(t.TempDir(), "results")
	args := []string{
		"evaluate", "--real", ihc, "--he", he, "--model", golden.Path(t, "tiny"), "--phikon", phikon,
		"--output", out, "--resamples", "100", "--json",
	}
	var stdout, stderr strings.Builder
	if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var r evaluate.Results
	if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"ssim", "psnr", "retrieval_phikon_top1", "dab90_bias"} {
		if m := r.Metric(id); m == nil || !m.Value.Known() || m.N != 3 {
			t.Errorf("%s: %+v", id, m)
		}
	}
	absent := map[string]string{}
	for _, n := range r.NotComputed {
		absent[n.Name] = n.Reason
	}
	for name, where := range map[string]string{
		"FID": "pytorch-fid", "KID": "torchvision",
		"PHV (paper), layer 1": "torchvision", "MRA top-1 (GigaPath)": "huggingface.co/prov-gigapath",
	} {
		if !strings.Contains(absent[name], where) {
			t.Errorf("%s is said not to be computed because %q: want a mention of %s", name, absent[name], where)
		}
	}
	said := ""
	for _, s := range r.Provenance {
		said += s.Key + " "
	}
	if !strings.Contains(said, "histdist.model") || !strings.Contains(said, "histdist.settings") {
		t.Errorf("the virtual images say %q of themselves", said)
	}
	for _, name := range []string{
		"results.json", "results.md", "images.csv", "report/index.html",
		"report/figures/scatter_dab90.svg", "virtual",
	} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil {
			t.Error(err)
		}
	}
	stderr.Reset()
	if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	check(t, "standard error of a second run", stderr.String(), "skipped: already done")
}

// How a model translates is checked as in a translation; without a model it has no say.
func TestEvaluateChecksTheTranslation(t *testing.T) {
	he, ihc := tissueFolder(t, "1")
	t.Setenv("HISTDIST_TRANSLATE_PRECISION", "bf16")
	t.Setenv("HISTDIST_TRANSLATE_BATCH", "0")
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{
		"evaluate", "--real", ihc, "--he", he, "--model", golden.Path(t, "tiny"), "--output", t.TempDir(),
	}, &stdout, &stderr)
	if code == exitOK {
		t.Error("wrong options of a translation are accepted")
	}
	for _, want := range []string{
		"HISTDIST_TRANSLATE_PRECISION: translate.precision: ", "HISTDIST_TRANSLATE_BATCH: translate.batch: ",
	} {
		check(t, "standard error", stderr.String(), want)
	}
	if code := run(t.Context(), []string{
		"evaluate", "--real", ihc, "--virtual", ihc, "--output", t.TempDir(), "--resamples", "100",
	}, &stdout, &stderr); code != exitOK {
		t.Errorf("without a model: exit code %d: %s", code, stderr.String())
	}
}

// Markdown and the table go to standard output alone.
func TestEvaluatePrints(t *testing.T) {
	he, ihc := tissueFolder(t, "3")
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("TORCH_HOME", t.TempDir())
	out := filepath.Join(t.TempDir(), "out")
	for flag, want := range map[string]string{
		"--markdown": "# Evaluation", "--json": `"metrics"`,
		"--json=false": "report:",
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), []string{
			"evaluate", "--real", ihc, "--virtual", ihc, "--he", he, "--output", out,
			"--resamples", "100", flag,
		}, &stdout, &stderr); code != exitOK {
			t.Fatalf("%s: exit code %d: %s", flag, code, stderr.String())
		}
		check(t, "standard output with "+flag, stdout.String(), want)
	}
}

// Shards translate and evaluate together, and each prints the results of a single process.
func TestEvaluateShards(t *testing.T) {
	he, ihc := tissueFolder(t, "4")
	phikon := tinyTranslations(t)
	evaluated := func(out string, more ...string) (r evaluate.Results) {
		t.Helper()
		args := append([]string{
			"evaluate", "--real", ihc, "--he", he, "--model", golden.Path(t, "tiny"), "--phikon", phikon, "--output", out,
			"--resamples", "100", "--batch", "3", "--json",
		}, more...)
		var stdout, stderr strings.Builder
		if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
			t.Fatalf("%v: exit code %d: %s", more, code, stderr.String())
		}
		if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil {
			t.Fatal(err)
		}
		r.Created, r.Folders.Virtual = time.Time{}, ""
		return r
	}
	want := evaluated(filepath.Join(t.TempDir(), "alone"))
	out := filepath.Join(t.TempDir(), "shared")
	for _, shard := range []string{"2/2", "1/2"} { // the first does all, and then the other is late
		if diff := cmp.Diff(want, evaluated(out, "--shard", shard)); diff != "" {
			t.Errorf("shard %s (-alone +shared):\n%s", shard, diff)
		}
	}
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"status", out}, &stdout, &stderr); code != exitOK {
		t.Fatal(stderr.String())
	}
	for _, part := range []string{filepath.Join(out, "virtual") + ":\n", "done: 4 of 4", "done: 5 of 5"} {
		check(t, "status", stdout.String(), part)
	}
}
