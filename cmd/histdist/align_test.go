package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Pairs that don't lie on each other are measured, aligned, and can be trained with.
func TestAlign(t *testing.T) {
	dir := t.TempDir()
	pairs, aligned := filepath.Join(dir, "pairs"), filepath.Join(dir, "aligned")
	do := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr strings.Builder
		if code := run(t.Context(), append([]string{"data"}, args...), &stdout, &stderr); code != want {
			t.Fatalf("%s: exit code %d, want %d:\n%s%s", args[0], code, want, &stdout, &stderr)
		}
		return stdout.String() + stderr.String()
	}
	do(exitOK, "synth", "--output", pairs, "--pairs", "2", "--val-pairs", "1", "--size", "192", "--misregistration", "9")
	if text := do(exitOK, "check", pairs, "--register"); !strings.Contains(text, "registered: 3 of 3 pairs") {
		t.Error(text)
	}
	text := do(exitOK, "align", pairs, "--output", aligned, "--min-size", "128")
	if !strings.Contains(text, filepath.Join(aligned, "pairs.csv")+": 3 pairs; dropped: 0") {
		t.Error(text)
	}
	if text := do(exitOK, "check", filepath.Join(aligned, "pairs.csv")); !strings.Contains(text, "train: 2 pairs") {
		t.Error(text)
	}
	text = do(exitFailed, "align", pairs, "--output", aligned, "--max-shift", "0.001")
	if !strings.Contains(text, "all 3 pairs were dropped") {
		t.Error(text)
	}
	do(exitFailed, "align", pairs, "--output", aligned, "--max-shift", "-1")
	if _, err := os.Stat(filepath.Join(aligned, "train", "he")); err != nil {
		t.Error(err)
	}
}
