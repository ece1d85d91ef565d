package weights

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/histdist/histdist/internal/parallel"
)

// Digest writes what identifies the store's contents to w, usually a hash: the name, type, shape and SHA-256 of each
// tensor. All bytes are read, by all processors: samples would not distinguish a checkpoint from one in which a few
// rows of an embedding were trained.
func (s *Store) Digest(w io.Writer) error {
	const chunk = 16 << 20
	names := slices.Sorted(maps.Keys(s.tensors))
	sums := make([][][sha256.Size]byte, len(names)) // of the chunks of each tensor
	var jobs []func()
	for i, name := range names {
		data := s.tensors[name].dense()
		sums[i] = make([][sha256.Size]byte, (len(data)+chunk-1)/chunk)
		for k := range sums[i] {
			part := data[k*chunk : min((k+1)*chunk, len(data))]
			jobs = append(jobs, func() { sums[i][k] = sha256.Sum256(part) })
		}
	}
	parallel.For(len(jobs), func(i int) { jobs[i]() })
	for i, name := range names {
		t := s.tensors[name]
		if _, err := fmt.Fprintf(w, "%s %s %v %x\n", name, t.dtype, t.shape, sums[i]); err != nil {
			return err
		}
	}
	return nil
}

// Identity identifies the content of the files without reading them: path, device, inode, size, and the times of the
// last change of content and of anything, which no program can set. changed is the latest of these
// times.
func (s *Store) Identity() (id string, changed time.Time, err error) {
	var b strings.Builder
	add := func(path string, f *os.File) error {
		i, err := identify(f)
		if err != nil {
			return &os.PathError{Op: "stat", Path: path, Err: err}
		}
		fmt.Fprintf(&b, "%q %d %d %d %d %d\n", path, i.device, i.file, i.size, i.written.UnixNano(), i.changed.UnixNano())
		for _, t := range []time.Time{i.written, i.changed} {
			if t.After(changed) {
				changed = t
			}
		}
		return nil
	}
	path, err := filepath.Abs(s.path)
	if err != nil {
		return "", time.Time{}, err
	}
	f, err := os.Open(path) // of an index, which names the files
	if err != nil {
		return "", time.Time{}, err
	}
	defer f.Close()
	if err := add(path, f); err != nil {
		return "", time.Time{}, err
	}
	for _, m := range s.files {
		if err := add(filepath.Base(m.path), m.file); err != nil {
			return "", time.Time{}, err
		}
	}
	return b.String(), changed, nil
}

// identity is what a file system knows of an open file.
type identity struct {
	device, file     uint64
	size             int64
	written, changed time.Time // its content, and anything of it
}

// Bytes is the size of the files.
func (s *Store) Bytes() int64 {
	var n int64
	for _, f := range s.files {
		n += int64(len(f.bytes))
	}
	return n
}
