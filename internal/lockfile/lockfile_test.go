package lockfile_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/histdist/histdist/internal/lockfile"
)

func TestOneHolds(t *testing.T) {
	for name, acquire := range map[string]func(path string) (*lockfile.Lock, error){
		"with locks":    lockfile.Acquire,
		"without locks": func(path string) (*lockfile.Lock, error) { return lockfile.AcquireWithout(path, syscall.ENOSYS) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".lock")
			for range 2 { // after it was given up it can be had again
				l, err := acquire(path)
				if err != nil {
					t.Fatal(err)
				}
				if (l.Note != "") != (name == "without locks") {
					t.Errorf("note %q", l.Note)
				}
				var held *lockfile.HeldError
				if _, err := acquire(path); !errors.As(err, &held) || held.Owner.PID != os.Getpid() || held.Remove != "" {
					t.Errorf("a second one: %v", err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
				t.Errorf("left in the folder: %v, %v", list, err)
			}
		})
	}
}

func TestWhichErrorsSayThatThereAreNoLocks(t *testing.T) {
	for _, errno := range []syscall.Errno{
		syscall.ENOSYS, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.EINVAL, syscall.ENOLCK,
	} {
		l, err := lockfile.AcquireWithout(filepath.Join(t.TempDir(), ".lock"), errno)
		if err != nil || !strings.Contains(l.Note, errno.Error()) {
			t.Errorf("%v: %+v, %v", errno, l, err)
		}
	}
	if _, err := lockfile.AcquireWithout(filepath.Join(t.TempDir(), ".lock"), syscall.EIO); !errors.Is(err, syscall.EIO) {
		t.Errorf("a failing disk: %v", err)
	}
}

// A lock that is there when a process wants it: of one that has died, that runs, or that can't be seen.
func TestOwners(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Skip(err)
	}
	me := lockfile.ThisProcess()
	if me.Started == "" {
		t.Skip("the start of a process can't be seen here")
	}
	text := func(change func(*lockfile.Owner)) string {
		o := me
		change(&o)
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, test := range map[string]struct {
		text   string
		taken  bool
		remove bool
	}{
		"has died":                   {text(func(o *lockfile.Owner) { o.PID, o.Started = gone.Process.Pid, "1" }), true, false},
		"its number came again":      {text(func(o *lockfile.Owner) { o.Started = "1" }), true, false},
		"before the machine started": {text(func(o *lockfile.Owner) { o.Machine, o.Boot = me.Machine, "other" }), me.Machine != "", me.Machine == ""},
		"runs":                       {text(func(*lockfile.Owner) {}), false, false},
		"on another host":            {text(func(o *lockfile.Owner) { o.Host = "node7" }), false, true},
		"on another of that name":    {text(func(o *lockfile.Owner) { o.Machine, o.Boot = "other", "other" }), false, true},
		"in another container":       {text(func(o *lockfile.Owner) { o.Namespace = "pid:[1]" }), false, true},
		"unknown":                    {"", false, true},
		"no owner":                   {"123\n", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), ".lock")
			owner := path + ".owner"
			if err := os.WriteFile(owner, []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			l, err := lockfile.AcquireWithout(path, syscall.ENOSYS)
			if test.taken {
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			var held *lockfile.HeldError
			if !errors.As(err, &held) {
				t.Fatalf("lock %+v, error %v", l, err)
			}
			if (held.Remove == owner) != test.remove || test.remove && !strings.Contains(err.Error(), owner) {
				t.Errorf("error %v, remove %q", err, held.Remove)
			}
			// A process that has locks respects it too.
			if _, err := lockfile.Acquire(path); !errors.As(err, &held) {
				t.Errorf("with locks: %v", err)
			}
		})
	}
}

// Of many that take over a dead owner's lock at once, one gets it.
func TestOneTakesOver(t *testing.T) {
	dead := lockfile.ThisProcess()
	if dead.Started == "" {
		t.Skip("the start of a process can't be seen here")
	}
	dead.Started = "1"
	text, err := json.Marshal(dead)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		path := filepath.Join(t.TempDir(), ".lock")
		if err := os.WriteFile(path+".owner", text, 0o644); err != nil {
			t.Fatal(err)
		}
		var got atomic.Int64
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				var held *lockfile.HeldError
				if _, err := lockfile.AcquireWithout(path, syscall.ENOTSUP); err == nil {
					got.Add(1)
				} else if !errors.As(err, &held) {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if got.Load() != 1 {
			t.Fatalf("%d have the lock", got.Load())
		}
	}
}

func TestALockThatWasTakenAwayIsReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".lock")
	l, err := lockfile.AcquireWithout(path, syscall.ENOSYS)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + ".owner"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err == nil {
		t.Error("no error")
	}
}
