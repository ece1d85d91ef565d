// Package childtest runs tests in processes of their own, which may be killed.
package childtest

import (
	"os"
	"os/exec"
	"testing"
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
