//go:build unix

package train_test

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// kill ends this process as the system does for want of memory.
func kill() error { return unix.Kill(os.Getpid(), unix.SIGKILL) }

func wasKilled(p *os.ProcessState) bool { return p.Sys().(syscall.WaitStatus).Signal() == unix.SIGKILL }

// limitFiles lets no file of this process grow beyond so many bytes.
func limitFiles(bytes uint64) error {
	signal.Ignore(syscall.SIGXFSZ)
	return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY})
}
