package weights

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapped is a file in memory: private pages, so that what is written to them never reaches the file.
type mapped struct {
	path  string
	file  *os.File
	bytes []byte
}

// lfsPointer is how the text begins that git leaves in place of a large file that it has not fetched.
var lfsPointer = []byte("version https://git-lfs.github.com/spec/")

func mapFile(path string) (*mapped, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m := &mapped{path: path, file: f}
	if err := m.mapAll(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	if bytes.HasPrefix(m.bytes, lfsPointer) {
		return nil, errors.Join(fmt.Errorf("%s: a Git LFS pointer, not the file itself: fetch it with `git lfs pull`", path),
			m.close())
	}
	return m, nil
}

func (m *mapped) mapAll() error {
	info, err := m.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size == 0 {
		return errors.New("the file is empty")
	}
	if int64(int(size)) != size {
		return fmt.Errorf("%d bytes: more than this machine can address", size)
	}
	// Without a reservation of swap space: a checkpoint larger than the free memory can be mapped and read in parts.
	m.bytes, err = unix.Mmap(int(m.file.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("map %d bytes: %w", size, err)
	}
	return nil
}

func (m *mapped) close() error {
	err := unix.Munmap(m.bytes)
	m.bytes = nil
	return errors.Join(err, m.file.Close())
}

// discard releases the pages of b, a part of the mapping, and with them all changes: b has the file's bytes again.
// Pages that b shares with its neighbours stay, for the neighbours may have been written too.
func (m *mapped) discard(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	inner := wholePages(b)
	if err := dropPages(b); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	begin := distance(m.bytes, b)
	if len(inner) == 0 {
		return m.restore(begin, begin+len(b))
	}
	head := distance(b, inner)
	return errors.Join(m.restore(begin, begin+head), m.restore(begin+head+len(inner), begin+len(b)))
}

// restore reads bytes of the mapping from the file again.
func (m *mapped) restore(begin, end int) error {
	want := make([]byte, end-begin)
	if _, err := m.file.ReadAt(want, int64(begin)); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	if have := m.bytes[begin:end]; !bytes.Equal(have, want) { // a write would make the page a private copy
		copy(have, want)
	}
	return nil
}

// wholePages is the part of b that consists of whole pages.
func wholePages(b []byte) []byte {
	page := uintptr(os.Getpagesize())
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	first := (begin + page - 1) &^ (page - 1)
	last := (begin + uintptr(len(b))) &^ (page - 1)
	if last <= first {
		return nil
	}
	return b[first-begin : last-begin]
}

// dropPages gives the whole pages of b back to the system. They have a file's bytes, or zeros, when they are read
// again.
func dropPages(b []byte) error {
	pages := wholePages(b)
	if len(pages) == 0 {
		return nil
	}
	if err := unix.Madvise(pages, unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("release pages: %w", err)
	}
	return nil
}

// distance is the number of bytes from the beginning of outer to that of inner, which is part of it.
func distance(outer, inner []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(inner))) - uintptr(unsafe.Pointer(unsafe.SliceData(outer))))
}
