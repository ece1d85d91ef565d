package claim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/lockfile"
)

// DefaultSilence is twice as long as NFS clients may keep what they know of a file.
const DefaultSilence = 2 * time.Minute

const (
	itemsFile     = "items.json"
	workersFolder = "workers"
	claimsFolder  = "claims"
)

// Record says who took an item, and how that ended.
type Record struct {
	Item   string    `json:"item"`
	Worker string    `json:"worker"`
	Since  time.Time `json:"since"` // by the worker's clock, as Until
	Until  time.Time `json:"until,omitzero"`
	Error  string    `json:"error,omitempty"`
	Stamp  string    `json:"stamp,omitempty"` // of the item
}

func (r Record) finished() bool { return !r.Until.IsZero() }

// Board is a folder in which processes say what they do. Its methods are called by one goroutine at a time.
type Board struct {
	folder  string
	silence time.Duration
	id      string
	now     func() time.Time

	mu   sync.Mutex // of self
	self Worker

	seen map[string]*sight
	came bool // seen has all workers that were there before this process

	stop, stopped chan struct{}
}

// join joins the processes that share a folder. leave ends that.
func join(folder string, p Part, silence time.Duration, now func() time.Time) (*Board, error) {
	for _, name := range []string{workersFolder, claimsFolder} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o777); err != nil {
			return nil, err
		}
	}
	b := &Board{
		folder: folder, silence: silence, now: now, seen: map[string]*sight{},
		id: strconv.FormatUint(rand.Uint64(), 36), stop: make(chan struct{}), stopped: make(chan struct{}),
		self: Worker{Owner: lockfile.ThisProcess(), Task: task(), Tag: atomicfile.Host(), Part: p, Silence: silence},
	}
	if err := b.workers(); err != nil {
		return nil, err
	}
	b.came = true
	if err := b.sign(); err != nil {
		return nil, err
	}
	go b.beat()
	return b, nil
}

// leave says that this process has ended: what it hasn't finished is free.
func (b *Board) leave() error {
	close(b.stop)
	<-b.stopped
	b.self.Ended = true
	return b.sign()
}

// claimFile is the file of an item's claim of a number.
func (b *Board) claimFile(item string, number int) string {
	sum := sha256.Sum256([]byte(item))
	return filepath.Join(b.folder, claimsFolder, hex.EncodeToString(sum[:12])+"."+strconv.Itoa(number))
}

// last is the last claim of an item, and its number, 0 if there is none.
func (b *Board) last(item string) (r Record, number int, err error) {
	for {
		text, err := os.ReadFile(b.claimFile(item, number+1))
		if errors.Is(err, fs.ErrNotExist) {
			return r, number, nil
		}
		if err != nil {
			return r, number, err
		}
		number++
		if r = (Record{}); json.Unmarshal(text, &r) != nil {
			r = Record{} // of a process that died while it wrote: it has no worker, which is dead if it stays so
		}
	}
}

// take makes an item's claim of a number, unless another process is faster.
func (b *Board) take(item Item, number int) (*Record, error) {
	r := &Record{Item: item.Name, Worker: b.id, Since: time.Now().UTC(), Stamp: item.Stamp}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	made, err := atomicfile.WriteNew(b.claimFile(item.Name, number), append(text, '\n'))
	if err != nil || !made {
		return nil, err
	}
	return r, nil
}

// held reports whether the claim of a number is an item's last: nobody has taken it over.
func (b *Board) held(item string, number int) (bool, error) {
	_, err := os.Stat(b.claimFile(item, number+1))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}

// finish says how an item ended.
func (b *Board) finish(r *Record, number int, failed error) error {
	r.Until = time.Now().UTC()
	if failed != nil {
		r.Error = failed.Error()
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteSoon(b.claimFile(r.Item, number), append(text, '\n')); err != nil {
		return fmt.Errorf("claim of %s: %w", r.Item, err)
	}
	return nil
}
