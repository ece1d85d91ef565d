package evaluate

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/histdist/histdist/internal/lockfile"
)

// key names a record: origin.Origin.Key of what its values are computed from.
type key [sha256.Size]byte

// cache keeps computed values in a file, and only their places, about 100 bytes a record, in memory. Records are only
// appended. A killed run leaves at most its last record torn, which is cut off when the file is opened again:
//
//	8 bytes   kind and version of the file
//	records   32 bytes key, 4 bytes number of bytes, the bytes, 4 bytes CRC-32 (Castagnoli) of all of these
//
// It may be used by several goroutines, and by one process.
type cache struct {
	Note string // what a user should know about its lock; ""

	lock   *lockfile.Lock
	mu     sync.Mutex
	file   *os.File
	opened int64 // the end when it was opened
	end    int64
	places map[key]place
}

type place struct {
	offset int64
	length int
}

// records are values by their keys: the cache, or what a shard computes for it.
type records interface {
	has(k key) bool
	get(k key) (data []byte, ok bool, err error)
	put(k key, data []byte) error // unless the key exists
}

// cacheMagic begins the file. Files of other versions are discarded.
const cacheMagic = "hdcache1"

// maxRecord bounds a record: the largest are features of 3840 numbers and histograms.
const maxRecord = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errInUse is the error of a cache that another process has open.
var errInUse = errors.New("another run writes to this folder: wait for it, or name another --output")

// openCache opens the file or makes it.
func openCache(path string) (c *cache, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
		}
	}()
	lock, err := lockfile.Acquire(path + ".lock")
	if err != nil {
		var held *lockfile.HeldError
		if errors.As(err, &held) {
			err = fmt.Errorf("%w: %w", errInUse, held)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	c = &cache{Note: lock.Note, lock: lock, file: f, places: map[key]place{}}
	if err := c.scan(); err != nil {
		return nil, err
	}
	c.opened = c.end
	return c, nil
}

// scan finds the records and cuts off what follows the last complete one.
func (c *cache) scan() error {
	r := bufio.NewReaderSize(c.file, 1<<20)
	magic := make([]byte, len(cacheMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != cacheMagic {
		if err := c.file.Truncate(0); err != nil {
			return err
		}
		if _, err := c.file.WriteAt([]byte(cacheMagic), 0); err != nil {
			return err
		}
		c.end = int64(len(cacheMagic))
		return nil
	}
	c.end = int64(len(cacheMagic))
	for {
		k, data, err := readRecord(r)
		if errors.Is(err, errTorn) {
			return c.file.Truncate(c.end)
		}
		if err != nil {
			return err
		}
		c.places[k] = place{c.end + recordHead, len(data)}
		c.end += recordHead + int64(len(data)) + recordTail
	}
}

const (
	recordHead = sha256.Size + 4
	recordTail = 4
)

// errTorn means that the rest of a file, which may be empty, is no complete record.
var errTorn = errors.New("no whole record")

// readRecord reads the next record.
func readRecord(r io.Reader) (k key, data []byte, err error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return k, nil, torn(err)
	}
	length := binary.LittleEndian.Uint32(head[sha256.Size:])
	if length > maxRecord {
		return k, nil, errTorn
	}
	body := make([]byte, int(length)+recordTail)
	if _, err := io.ReadFull(r, body); err != nil {
		return k, nil, torn(err)
	}
	data = body[:length]
	if checksum(head[:], data) != binary.LittleEndian.Uint32(body[length:]) {
		return k, nil, errTorn
	}
	return key(head[:sha256.Size]), data, nil
}

// appendRecord appends a record to others.
func appendRecord(to []byte, k key, data []byte) ([]byte, error) {
	if len(data) > maxRecord {
		return nil, fmt.Errorf("a record of %d bytes: at most %d", len(data), maxRecord)
	}
	at := len(to)
	to = append(to, k[:]...)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(data)))
	sum := checksum(to[at:], data)
	to = append(to, data...)
	return binary.LittleEndian.AppendUint32(to, sum), nil
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

func checksum(head, data []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, data)
}

// has reports whether there is a record.
func (c *cache) has(k key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.places[k]
	return ok
}

// fresh reports whether there is a record that wasn't there when the cache was opened.
func (c *cache) fresh(k key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.places[k]
	return ok && at.offset >= c.opened
}

// take adds the records of a part. A file that isn't there, or torn, gives what it has.
func (c *cache) take(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r := bytes.NewReader(bytes.TrimPrefix(data, []byte(cacheMagic)))
	for {
		k, data, err := readRecord(r)
		if errors.Is(err, errTorn) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.put(k, data); err != nil {
			return err
		}
	}
}

// part has records in memory, for a file of the cache's form that another process takes. It may be used by several
// goroutines.
type part struct {
	mu     sync.Mutex
	values map[key][]byte
	file   []byte
}

func newPart() *part { return &part{values: map[key][]byte{}, file: []byte(cacheMagic)} }

func (p *part) has(k key) bool {
	_, ok, _ := p.get(k)
	return ok
}

func (p *part) get(k key) (data []byte, ok bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, ok = p.values[k]
	return data, ok, nil
}

func (p *part) put(k key, data []byte) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.values[k]; ok {
		return nil
	}
	p.values[k] = data
	p.file, err = appendRecord(p.file, k, data)
	return err
}

// errCache marks errors of the cache, which end an evaluation.
var errCache = errors.New("cache")

// get reads a record's bytes.
func (c *cache) get(k key) ([]byte, bool, error) {
	c.mu.Lock()
	at, ok := c.places[k]
	c.mu.Unlock()
	if !ok {
		return nil, false, nil
	}
	data := make([]byte, at.length)
	if _, err := c.file.ReadAt(data, at.offset); err != nil {
		return nil, false, fmt.Errorf("%w: %s: %w", errCache, c.file.Name(), err)
	}
	return data, true, nil
}

// put appends a record, unless its key exists.
func (c *cache) put(k key, data []byte) error {
	record, err := appendRecord(nil, k, data)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errCache, c.file.Name(), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.places[k]; ok {
		return nil
	}
	if _, err := c.file.WriteAt(record, c.end); err != nil {
		return fmt.Errorf("%w: %s: %w", errCache, c.file.Name(), err)
	}
	c.places[k] = place{c.end + recordHead, len(data)}
	c.end += int64(len(record))
	return nil
}

// Close closes the file, which ends its lock.
func (c *cache) Close() error { return errors.Join(c.file.Close(), c.lock.Close()) }

// read reads a record of numbers; ok reports whether there is one.
func read[T float32 | float64](c records, k key) (values []T, ok bool, err error) {
	data, ok, err := c.get(k)
	if !ok || err != nil {
		return nil, false, err
	}
	values = make([]T, len(data)/binary.Size(T(0)))
	_, err = binary.Decode(data, binary.LittleEndian, values)
	return values, true, err
}

// write appends a record of numbers.
func write[T float32 | float64](c records, k key, values []T) error {
	data, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		return err
	}
	return c.put(k, data)
}
