package lockfile_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/histdist/histdist/internal/lockfile"
)

// A process that has ended has its number until its parent asks for it: in a container that may be never.
func TestAnOwnerThatHasEndedAndWasNotWaitedFor(t *testing.T) {
	process := exec.Command("cat")
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Skip(err)
	}
	owner := lockfile.ThisProcess()
	owner.PID, owner.Started = process.Process.Pid, lockfile.Started(process.Process.Pid)
	text, err := json.Marshal(owner)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), ".lock")
	if err := os.WriteFile(path+".owner", text, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := lockfile.AcquireWithout(path, syscall.ENOSYS); err == nil {
		t.Error("the lock of a process that runs was taken over")
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, owner.PID, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := lockfile.AcquireWithout(path, syscall.ENOSYS); err != nil {
		t.Error(err)
	}
	if err := process.Wait(); err != nil {
		t.Error(err)
	}
}
