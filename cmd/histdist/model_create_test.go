package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/model"
)

// TestModelCreate makes the demonstration's model, which must fit into 8 MB of float16.
func TestModelCreate(t *testing.T) {
	out := filepath.Join(t.TempDir(), "model")
	var stdout, stderr bytes.Buffer
	args := []string{
		"model", "create", "--like", "../../experiments/demo/architecture", "--output", out, "--dtype",
		"float16", "--seed", "1",
	}
	if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	r, err := model.Inspect(out, model.Options{})
	if err != nil || !r.Healthy() {
		t.Fatalf("%+v, %v", r, err)
	}
	size := int64(0)
	for _, n := range r.Networks {
		size += n.Bytes
	}
	if size > 8_000_000 {
		t.Errorf("%d bytes of weights, want at most 8 MB", size)
	}
	// Once more: the folder is there.
	if code := run(t.Context(), args, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), out) {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	stderr.Reset()
	if code := run(t.Context(), args[:4], &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(),
		"--output") {
		t.Errorf("without --output: exit code %d: %s", code, &stderr)
	}
}
