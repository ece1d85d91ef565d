package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/histdist/histdist/infer"
)

// A command that translates several folders, as `demo measure` does, counts each of them anew.
func TestEveryTranslationIsCountedAnew(t *testing.T) {
	var out bytes.Buffer
	observe := observer(&out)
	for range 2 {
		for _, event := range []any{infer.Start{Jobs: 2}, infer.Done{}, infer.Done{}} {
			if err := observe.Report(event); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := strings.Count(out.String(), "done=2 of=2"); got != 2 {
		t.Errorf("%d translations end with done=2 of=2, want 2:\n%s", got, out.String())
	}
}
