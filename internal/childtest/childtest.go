// Package childtest runs tests in processes of their own, which may be killed.
package childtest

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/histdist/histdist/internal/atomicfile"
)

// Run runs a test of this binary in a process with further variables of the environment, and waits for it. If it fails,
// so does t; that it was killed is no failure.
func Run(t *testing.T, test string, env ...string) (killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env...)
	said, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() >= 0 { // -1: killed
		t.Errorf("%s %v: %v\n%s", test, env, err, said)
		return false
	}
	return err != nil
}

// Abandon leaves what a process leaves that was killed while it wrote a file, and returns its hidden name. That was an
// hour ago: on Windows newer ones are not swept.
func Abandon(t *testing.T, path string) (hidden string) {
	t.Helper()
	f, err := atomicfile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	if err := errors.Join(f.Close(), os.Chtimes(f.Name(), long, long)); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}
