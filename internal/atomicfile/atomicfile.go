// Package atomicfile writes files and folders that appear whole or not at all, even if the program or machine stops: it
// writes under a hidden name next to the target, syncs and renames.
package atomicfile

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/histdist/histdist/internal/flock"
)

// Write writes or replaces a file in one step. Errors name the path.
func Write(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Commit()
}

// File is a file under its hidden name until Commit gives it its own.
type File struct {
	*os.File
	path string
}

// Create begins a file that Commit puts at path, where it may replace another.
func Create(path string) (*File, error) {
	const tries = 5
	for range tries {
		name := hidden(filepath.Base(path)) + "." + thisHost() + strconv.FormatUint(rand.Uint64(), 36) + temporary
		f, err := os.OpenFile(filepath.Join(filepath.Dir(path), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		// The lock tells Sweep that this process lives. Without locks in the file system there is nothing to tell.
		if !errors.Is(flock.Try(f), flock.ErrHeld) && flock.At(f, f.Name()) {
			return &File{f, path}, nil
		}
		_ = f.Close() // Sweep was faster and has removed it
	}
	return nil, fmt.Errorf("%s: another program removes what is written there", path)
}

// Commit makes the file durable and puts it at its path. If it fails, the hidden file is removed.
func (f *File) Commit() (err error) {
	defer func() {
		if err != nil {
			f.Discard()
			err = fmt.Errorf("%s: %w", f.path, err)
		}
	}()
	if err := Sync(f.File); err != nil {
		return err
	}
	if err := f.rename(); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(f.path))
}

// rename puts the file at its path and closes it: afterwards, where an open file can be renamed, so that it is locked
// as long as it has the hidden name.
func (f *File) rename() error {
	if !renamesOpen {
		if err := f.Close(); err != nil {
			return err
		}
		return Rename(f.Name(), f.path)
	}
	if err := Rename(f.Name(), f.path); err != nil {
		return err
	}
	return f.Close()
}

// Discard closes and removes the file. After Commit it does nothing.
func (f *File) Discard() {
	_ = f.Close()           // a second time at worst
	_ = os.Remove(f.Name()) // the first error is the one to tell
}

// renamesOpen says whether a file can be renamed and removed while it is open.
const renamesOpen = runtime.GOOS != "windows"

// temporary ends the name of a file that Create began, and of no other program's.
const temporary = ".histdist-new"

// thisHost is in the names of files that this machine's processes Create.
var thisHost = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	return hostTag(name)
})

// hostTagLength is how long a hostTag is.
const hostTagLength = 8

// hostTag stands for a host's name.
func hostTag(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name)) //nolint:errcheck // it has no errors
	return fmt.Sprintf("%0*x", hostTagLength, h.Sum32())
}

// Sweep removes the files of a folder that processes which have ended began to Create: those of this machine, which the
// locks of their files tell, and those of further hosts, by their names, where the caller knows that no process writes
// there any more. It is needed because some file systems' locks don't reach other machines.
func Sweep(folder string, hosts ...string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	gone := map[string]bool{thisHost(): false}
	for _, host := range hosts {
		gone[hostTag(host)] = true
	}
	for _, e := range entries {
		name, ours := strings.CutSuffix(e.Name(), temporary)
		unique := name[strings.LastIndex(name, ".")+1:]
		if !ours || len(unique) < hostTagLength {
			continue
		}
		if sure, named := gone[unique[:hostTagLength]]; named {
			err = errors.Join(err, sweep(filepath.Join(folder, e.Name()), sure))
		}
	}
	return err
}

// sweep removes a file unless a process holds its lock; without locks if it is sure.
func sweep(path string, sure bool) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), // it has its place now, or was swept
		errors.Is(err, fs.ErrPermission): // another user's
		return nil
	case err != nil:
		return err
	}
	defer f.Close() //nolint:errcheck // it wasn't written
	if err := flock.Try(f); errors.Is(err, flock.ErrHeld) || err != nil && !sure || !flock.At(f, path) {
		return nil
	}
	if !renamesOpen {
		_ = f.Close()
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// hidden begins a temporary name: a dot and as much of the name as leaves room, since file systems allow 255 bytes or
// fewer.
func hidden(name string) string {
	const longest = 60
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "")
	}
	return "." + name
}

// Folder creates the folder path, which must not exist, from what fill writes into a temporary folder next to it.
func Folder(path string, fill func(dir string) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists: name a folder that doesn't", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(parent, hidden(filepath.Base(path))+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return err
	}
	if err := Rename(dir, path); err != nil {
		return err
	}
	return SyncFolder(parent)
}

// Copy copies a file into a folder that Folder fills, and waits until the disk has it.
func Copy(dst, src string) error {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, Sync(to), to.Close())
}
