package main

import (
	"errors"
	"strings"
	"testing"
)

// A command that was accepted and then failed is told from one that was not.
func TestRunFailed(t *testing.T) {
	var stderr strings.Builder
	if code := run(t.Context(), []string{"doctor", "--quick"}, fullDisk{}, &stderr); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	check(t, "standard error", stderr.String(), "histdist doctor: no space left\n")
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
