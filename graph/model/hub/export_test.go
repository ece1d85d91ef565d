package hub

import (
	"context"
	"net/http"
	"os"
	"time"
)

// Hooks are what tests replace in a client; nil fields stay.
type Hooks struct {
	Part      int64
	Wait      func(ctx context.Context, d time.Duration) error
	Write     func(b []byte, at int64) error // called before each write; its error is that of the disk
	Free      func(folder string) (uint64, error)
	Symlink   func(target, path string) error
	Transport http.RoundTripper
}

// Incomplete ends the names of contents that are not complete.
const Incomplete = incomplete

// Stalled is how long a server may send nothing.
const Stalled = stalled

// Tries is how often a request may fail.
const Tries = tries

// Hook replaces parts of a client.
func (c *Client) Hook(h Hooks) *Client {
	if h.Part > 0 {
		c.part = h.Part
	}
	if h.Wait != nil {
		c.wait = h.Wait
	}
	if h.Free != nil {
		c.free = h.Free
	}
	if h.Symlink != nil {
		c.symlink = h.Symlink
	}
	if h.Transport != nil {
		c.http.Transport = h.Transport
	}
	if h.Write != nil {
		c.open = func(path string) (disk, error) {
			f, err := openDisk(path)
			return hooked{f.(*os.File), h.Write}, err
		}
	}
	return c
}

type hooked struct {
	*os.File
	write func(b []byte, at int64) error
}

func (h hooked) WriteAt(b []byte, at int64) (int, error) {
	if err := h.write(b, at); err != nil {
		return 0, err
	}
	return h.File.WriteAt(b, at)
}

// CheckFile is the check of what a server says of a file.
func CheckFile(path string, size int64, hash string) error { return file{path, size, hash}.check() }
