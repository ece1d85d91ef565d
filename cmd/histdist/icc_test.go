package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every command that reads images converts colour profiles, says which option ignores them where one can't be
// converted, and has it.
func TestICC(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile("../../data/imagefile/testdata/icc-tables.refused.png") // 17×13 pixels
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"he/a.png", "trainA/a.png", "trainB/a.png", "TrainValAB/trainA/a.png",
		"TrainValAB/trainB/a.png",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	he := filepath.Join(dir, "he")
	for name, args := range map[string][]string{
		"translate": {
			"translate", "--model", "../../experiments/demo/model", "--input", filepath.Join(he,
				"a.png"), "--output", filepath.Join(dir, "out.png"),
			"--steps-inversion", "2", "--steps-translation", "2",
		},
		"evaluate":   {"evaluate", "--real", he, "--virtual", he, "--output", filepath.Join(dir, "results")},
		"data check": {"data", "check", dir},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(t.Context(), args, &stdout, &stderr); code != exitFailed ||
				!strings.Contains(stdout.String()+stderr.String(), "--icc ignore") {
				t.Errorf("exit code %d, %s%s", code, &stdout, &stderr)
			}
			stdout.Reset()
			stderr.Reset()
			run(t.Context(), append(args, "--icc", "ignore"), &stdout, &stderr)
			if text := stdout.String() + stderr.String(); strings.Contains(text, "profile \"scanner\"") || strings.Contains(text,
				"can't be read") {
				t.Errorf("with --icc ignore: %s", text)
			}
			stdout.Reset()
			stderr.Reset()
			if code := run(t.Context(), append(args, "--icc", "convert"), &stdout, &stderr); code != exitUsage ||
				!strings.Contains(stderr.String(), "apply or ignore") {
				t.Errorf("--icc convert: exit code %d, %s", code, &stderr)
			}
		})
	}
	var stdout, stderr strings.Builder
	run(t.Context(), []string{"train", "er", "--dry-run", "--set", "data.icc=convert"}, &stdout, &stderr)
	if !strings.Contains(stderr.String(), "data.icc") || !strings.Contains(stderr.String(), "apply or ignore") {
		t.Errorf("train --set data.icc=convert: %s", &stderr)
	}
}

// An output that was made with the profile is not taken for one that was made without it.
func TestICCIsPartOfWhatAnOutputIsMadeWith(t *testing.T) {
	args := []string{
		"translate", "--model", "../../experiments/demo/model", "--input", "../../data/imagefile/testdata/icc-scanner.png",
		"--output", filepath.Join(t.TempDir(), "out.png"), "--steps-inversion", "2", "--steps-translation", "2", "--json",
	}
	for _, step := range []struct {
		icc, want string
		code      int
	}{{"apply", `"done":1`, exitOK}, {"apply", `"skipped":1`, exitOK}, {"ignore", `"done":0`, exitFailed}} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), append(args, "--icc", step.icc), &stdout, &stderr); code != step.code ||
			!strings.Contains(stdout.String(), step.want) {
			t.Errorf("--icc %s: exit code %d, want %d; %s%s, want %s", step.icc, code, step.code, &stdout, &stderr, step.want)
		}
	}
}
