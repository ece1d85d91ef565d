package mosaic

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/claim"
)

// store keeps finished parts of a run by their names, in files or in memory. A part is there as a whole or not at all.
type store interface {
	has(name string) (bool, error)
	put(name string, write func(w io.Writer) error) error
	get(name string) (io.ReadCloser, error)
}

// memory is a store of a run that can't be continued.
type memory map[string][]byte

func (m memory) has(name string) (bool, error) { return m[name] != nil, nil }

func (m memory) put(name string, write func(w io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	m[name] = b.Bytes()
	return nil
}

func (m memory) get(name string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m[name])), nil
}

// folder is a store in a folder. Each file ends with the SHA-256 of what comes before.
type folder struct {
	path    string
	shared  bool            // with other processes
	checked map[string]bool // in this run
}

// planFile is the name of the file in a folder that says what its parts belong to.
const planFile = "plan.json"

// ErrChanged is wrapped by the error of a run whose folder has parts of one with other settings.
var ErrChanged = errors.New("begun with other settings")

// errGone is wrapped by the error of a run whose folder is gone: another process that shares it has written the output.
var errGone = errors.New("the folder of parts is gone")

// openFolder makes a folder for a run, or continues the one that is there if it has the same origin.
func openFolder(path string, o origin.Origin, shared bool) (*folder, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // H&E
	if err := e.Encode(o); err != nil {
		return nil, err
	}
	plan := filepath.Join(path, planFile)
	text, err := os.ReadFile(plan)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o777); err != nil {
			return nil, err
		}
		if _, err := atomicfile.WriteNew(plan, b.Bytes()); err != nil {
			return nil, err
		}
		if err := atomicfile.Flush(plan); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(plan) // perhaps of another process, which was faster
	}
	if err != nil {
		return nil, err
	}
	var earlier origin.Origin
	if err := json.Unmarshal(text, &earlier); err != nil {
		return nil, fmt.Errorf("%s: %w: remove the folder to begin anew", plan, err)
	}
	if changes := o.Since(earlier); len(changes) > 0 {
		return nil, fmt.Errorf("%s: %w: %s: use the same again, or remove the folder to begin anew",
			path, ErrChanged, origin.Text(changes))
	}
	f := &folder{path, shared, map[string]bool{}}
	if shared {
		return f, nil
	}
	w, err := claim.Active(filepath.Join(path, claim.FolderName))
	if err != nil {
		return nil, err
	}
	if w != nil {
		return nil, fmt.Errorf("%s: %s works on it: share it with --shard, or wait", path, w.Where())
	}
	return f, nil
}

// open opens a part.
func (f *folder) open(name string) (*os.File, error) {
	path := filepath.Join(f.path, name)
	file, err := os.Open(path)
	if f.shared && errors.Is(err, fs.ErrNotExist) {
		atomicfile.Revisit(f.path)
		file, err = os.Open(path)
	}
	return file, err
}

// gone reports whether there is no folder any more.
func (f *folder) gone() bool {
	_, err := os.Stat(filepath.Join(f.path, planFile))
	return errors.Is(err, fs.ErrNotExist)
}

// removeParts removes a folder of parts, which vanishes at once for processes that share it.
func removeParts(path string) error {
	done := path + ".done"
	if err := os.RemoveAll(done); err != nil { // of a process that was killed here
		return err
	}
	if err := atomicfile.Rename(path, done); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(done)
}

// has reports whether a part is there and undamaged. A damaged one is removed.
func (f *folder) has(name string) (bool, error) {
	if f.checked[name] {
		return true, nil
	}
	path := filepath.Join(f.path, name)
	file, err := f.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, err
	}
	sum, h := make([]byte, sha256.Size), sha256.New()
	if info.Size() >= sha256.Size {
		if _, err := io.CopyN(h, file, info.Size()-sha256.Size); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
		if _, err := io.ReadFull(file, sum); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
	}
	if !bytes.Equal(sum, h.Sum(nil)) {
		return false, errors.Join(file.Close(), os.Remove(path)) // in this order, for Windows
	}
	f.checked[name] = true
	return true, nil
}

// put writes a part.
func (f *folder) put(name string, write func(w io.Writer) error) error {
	path := filepath.Join(f.path, name)
	file, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer file.Discard()
	w := &summed{file, sha256.New()}
	if err := write(w); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err := file.Write(w.sum.Sum(nil)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := file.Commit(); err != nil {
		return err
	}
	f.checked[name] = true
	return nil
}

// get opens a part, without its sum.
func (f *folder) get(name string) (io.ReadCloser, error) {
	file, err := f.open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &part{io.LimitReader(file, info.Size()-sha256.Size), file}, nil
}

// part is an open part.
type part struct {
	io.Reader
	io.Closer
}

// summed passes bytes on and sums them.
type summed struct {
	w   io.Writer
	sum hash.Hash
}

func (s *summed) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.sum.Write(b[:n])
	return n, err
}

// putFloats keeps values in little endian.
func putFloats(s store, name string, values []float32) error {
	return s.put(name, func(w io.Writer) error {
		const block = 1 << 14
		b := make([]byte, 0, 4*block)
		for i, v := range values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
			if len(b) == cap(b) || i == len(values)-1 {
				if _, err := w.Write(b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
		return nil
	})
}

// getFloats reads n values.
func getFloats(s store, name string, n int) (_ []float32, err error) {
	r, err := s.get(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	b := make([]byte, 4*n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return values, nil
}
