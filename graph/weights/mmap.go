package weights

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"
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
	if m.bytes, err = mapPrivate(m.file, int(size)); err != nil {
		return fmt.Errorf("map %d bytes: %w", size, err)
	}
	return nil
}

func (m *mapped) close() error {
	err := unmap(m.bytes)
	m.bytes = nil
	return errors.Join(err, m.file.Close())
}

// discard releases the pages of b, a part of the mapping, and with them all changes: b has the file's bytes again.
// Pages that b shares with its neighbours stay, for the neighbours may have been written too.
func (m *mapped) discard(b []byte) error {
	begin := distance(m.bytes, b)
	end := begin + len(b)
	if inner := wholePages(b); forgetful && len(inner) > 0 {
		first := distance(m.bytes, inner)
		if err := errors.Join(m.restore(begin, first), m.restore(first+len(inner), end)); err != nil {
			return err
		}
	} else if err := m.restore(begin, end); err != nil {
		return err
	}
	return m.drop(b)
}

// restore reads bytes of the mapping from the file again.
func (m *mapped) restore(begin, end int) error {
	const step = 1 << 20
	buffer := make([]byte, min(step, end-begin))
	for ; begin < end; begin += step {
		want := buffer[:min(step, end-begin)]
		if _, err := m.file.ReadAt(want, int64(begin)); err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
		if have := m.bytes[begin:][:len(want)]; !bytes.Equal(have, want) { // a write would make the page a private copy
			copy(have, want)
		}
	}
	return nil
}

// drop releases the whole pages of b, a part of the mapping, which are read from the file when they are needed again.
func (m *mapped) drop(b []byte) error {
	pages := wholePages(b)
	if len(pages) == 0 {
		return nil
	}
	if err := dropFile(pages); err != nil {
		return fmt.Errorf("%s: release pages: %w", m.path, err)
	}
	return nil
}

// dropMemory releases the whole pages of memory that no file backs. They are zero when they are read again.
func dropMemory(b []byte) error {
	pages := wholePages(b)
	if len(pages) == 0 {
		return nil
	}
	if err := dropZero(pages); err != nil {
		return fmt.Errorf("release pages: %w", err)
	}
	return nil
}

// wholePages is the part of b that consists of whole pages.
func wholePages(b []byte) []byte {
	page := uintptr(os.Getpagesize())
	begin := address(b)
	first := (begin + page - 1) &^ (page - 1)
	last := (begin + uintptr(len(b))) &^ (page - 1)
	if last <= first {
		return nil
	}
	return b[first-begin : last-begin]
}

// distance is the number of bytes from the beginning of outer to that of inner, which is part of it.
func distance(outer, inner []byte) int { return int(address(inner) - address(outer)) }

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
