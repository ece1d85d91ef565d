package main

import (
	"errors"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"no command shows help", nil, exitOK, "For research only", ""},
		{"help", []string{"--help"}, exitOK, "doctor", ""},
		{"version", []string{"--version"}, exitOK, "histdist version devel", ""},
		{"doctor", []string{"doctor", "--quick"}, exitOK, "device ref     yes", ""},
		{"inspect nothing", []string{"model", "inspect", "no/such/folder"}, exitFailed, "", "no such folder"},
		{"convert to an unknown type", []string{"model", "convert", "a", "b", "--dtype", "int8"}, exitFailed, "", "--dtype"},
		{"unknown command", []string{"docter"}, exitUsage, "", `histdist: unknown command "docter"`},
		{"unknown flag", []string{"doctor", "--fast"}, exitUsage, "", "histdist doctor: unknown flag: --fast"},
		{"surplus argument", []string{"doctor", "now"}, exitUsage, "", "Run 'histdist doctor --help' for usage."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if code := run(t.Context(), test.args, &stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			check(t, "standard output", stdout.String(), test.stdout)
			check(t, "standard error", stderr.String(), test.stderr)
		})
	}
}

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
