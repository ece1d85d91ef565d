package hub

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/histdist/histdist/internal/atomicfile"
)

// defaultPart is the size of the parts of a file that are downloaded independently, in bytes: what a killed program
// loses of each connection. It is part of the format of incomplete files.
const defaultPart = 16 << 20

// disk is an open file.
type disk interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

func openDisk(path string) (disk, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666) }

// partial is a content that isn't complete yet. Its file has the content, with holes, and after it a byte for each
// part, 1 if the part is there. A file of another length is begun anew, but one of the content's length is complete.
type partial struct {
	path       string
	size, unit int64 // of the content, and of a part
	file       disk

	mu   sync.Mutex
	done []bool
}

// openPartial opens what an earlier run has left, or begins a file.
func (c *Client) openPartial(path string, size int64) (_ *partial, err error) {
	f, err := c.open(path)
	if err != nil {
		return nil, err
	}
	p := &partial{path: path, size: size, unit: c.part, file: f, done: make([]bool, parts(size, c.part))}
	defer func() {
		if err != nil {
			err = errors.Join(p.explain(err), f.Close())
		}
	}()
	done, err := readParts(f, path, size, c.part)
	if err != nil {
		return nil, err
	}
	if done == nil {
		return p, p.restart()
	}
	p.done = done
	return p, nil
}

// parts is the number of parts of a content.
func parts(size, unit int64) int { return int((size + unit - 1) / unit) }

// readParts returns which parts of a content of a size are in an incomplete file; nil if it isn't one of that size.
func readParts(f io.ReaderAt, path string, size, unit int64) ([]bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	flags := make([]byte, parts(size, unit))
	done := make([]bool, len(flags))
	switch info.Size() {
	case size:
		for i := range done {
			done[i] = true
		}
	case size + int64(len(flags)):
		if _, err := f.ReadAt(flags, size); err != nil {
			return nil, err
		}
		for i, b := range flags {
			done[i] = b == 1
		}
	default:
		return nil, nil
	}
	return done, nil
}

// restart forgets what is there.
func (p *partial) restart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.done)
	return p.explain(errors.Join(p.file.Truncate(0), p.file.Truncate(p.size+int64(len(p.done)))))
}

// bounds returns the range of a part: [from,to).
func (p *partial) bounds(i int) (from, to int64) {
	return int64(i) * p.unit, min(int64(i+1)*p.unit, p.size)
}

// missing lists the parts that aren't there, and counts the bytes that are.
func (p *partial) missing() (parts []int, there int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, done := range p.done {
		if !done {
			parts = append(parts, i)
			continue
		}
		from, to := p.bounds(i)
		there += to - from
	}
	return parts, there
}

// write writes a piece of the content.
func (p *partial) write(b []byte, at int64) error {
	_, err := p.file.WriteAt(b, at)
	return p.explain(err)
}

// mark records that a part is there.
func (p *partial) mark(i int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[i] = true
	_, err := p.file.WriteAt([]byte{1}, p.size+int64(i))
	return p.explain(err)
}

// commit gives the content its name.
func (p *partial) commit(path string) error {
	if err := p.file.Truncate(p.size); err != nil {
		return err
	}
	if f, ok := p.file.(*os.File); ok {
		if err := atomicfile.Sync(f); err != nil {
			return err
		}
	}
	if err := p.file.Close(); err != nil {
		return err
	}
	return atomicfile.Rename(p.path, path)
}

// explain says what to do about a full disk.
func (p *partial) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case isFull(err):
		return fmt.Errorf("%w: %w: free some space and run the command again: what is there already is kept", ErrSpace, err)
	}
	return fmt.Errorf("%s: %w", p.path, err)
}
