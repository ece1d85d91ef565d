package claim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/internal/atomicfile"
)

// Item is a part of the work.
type Item struct {
	Name string `json:"name"` // unique
	Work int64  `json:"work"` // how much it is, in the unit of all items: pixels, bytes
	// Stamp is the state of what it is made of, such as a size and a time, and Outputs are the files that it makes. An
	// item that was finished before this process came is done again if the one has changed or a file is gone.
	Stamp   string   `json:"-"`
	Outputs []string `json:"-"`
}

// Options say how items are shared.
type Options struct {
	Folder string // of the claims; "": this process does all
	Part   Part   // what this process does first
	// Ordered says that every process does the items in their order, whatever its part.
	Ordered bool
	// Silence is how long another process may give no sign of life before it is taken for dead; 0: DefaultSilence.
	Silence time.Duration
	// Origin is what all results depend on: processes with another are refused.
	Origin origin.Origin
}

// Stamp is the state of a file by its size and the time of its last change; "" if there is none.
func Stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
}

// FileItem is the item that makes outputs, somewhere in a folder, of an input. The first output names it.
func FileItem(folder, input string, outputs []string, work int64) (Item, error) {
	name, err := filepath.Rel(folder, outputs[0])
	return Item{Name: filepath.ToSlash(name), Work: work, Stamp: Stamp(input), Outputs: outputs}, err
}

// Queue gives out items, each to one process. Several goroutines may use it.
type Queue struct {
	o     Options
	items []Item
	board *Board // nil: this process does all

	mu   sync.Mutex
	own  map[int]bool
	rest []int        // not finished, in the order in which this process does them
	held map[int]bool // by this process
}

// ErrOthers is wrapped by the error of a folder with the claims of other settings.
var ErrOthers = errors.New("other settings")

// list is items.json.
type list struct {
	Origin origin.Origin `json:"origin"`
	Items  []Item        `json:"items"`
}

// Open joins the processes that share items. Close leaves them.
func Open(items []Item, o Options) (*Queue, error) { return open(items, o, time.Now) }

func open(items []Item, o Options, now func() time.Time) (*Queue, error) {
	if o.Silence == 0 {
		o.Silence = DefaultSilence
	}
	q := &Queue{o: o, items: items, own: map[int]bool{}, held: map[int]bool{}}
	divided := o.Part
	if o.Ordered {
		divided = Part{}
	}
	var own int
	q.rest, own = divided.order(items)
	for _, i := range q.rest[:own] {
		q.own[i] = true
	}
	q.sweep()
	if o.Folder == "" {
		return q, nil
	}
	if err := os.MkdirAll(o.Folder, 0o777); err != nil {
		return nil, err
	}
	if err := q.agree(); err != nil {
		return nil, err
	}
	var err error
	q.board, err = join(o.Folder, o.Part, o.Silence, now)
	return q, err
}

// agree writes what there is to do, or compares it with what is written.
func (q *Queue) agree() error {
	path := filepath.Join(q.o.Folder, itemsFile)
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // H&E
	if err := e.Encode(list{q.o.Origin, q.items}); err != nil {
		return err
	}
	made, err := atomicfile.WriteNew(path, text.Bytes())
	if made || err != nil {
		return err
	}
	l, err := readList(path)
	if err != nil {
		return err
	}
	if changes := q.o.Origin.Difference(l.Origin); len(changes) > 0 {
		return fmt.Errorf("%s: begun with %w: %s: use the same again, or remove the folder to begin anew",
			q.o.Folder, ErrOthers, origin.Text(changes))
	}
	if slices.EqualFunc(l.Items, q.items, func(a, b Item) bool { return a.Name == b.Name && a.Work == b.Work }) {
		return nil
	}
	return atomicfile.WriteSoon(path, text.Bytes()) // images have come or gone
}

func readList(path string) (l list, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("%s: %w: remove the folder to begin anew", path, err)
	}
	return l, nil
}

// Claim is an item for this process to do, or one that another has finished.
type Claim struct {
	Index     int  // of the item
	Elsewhere bool // another process has finished it
	Failed    string

	q      *Queue
	record *Record
	number int
}

// Next returns an item to do, or one that another process has finished. Without either it reports whether more are
// left: with other processes, which may die, or not ready. Ready says whether an item can be done now; nil: all can.
func (q *Queue) Next(ready func(i int) bool) (c *Claim, more bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for at, i := range q.rest {
		if q.held[i] {
			continue
		}
		more = true
		if c, err := q.claim(i, ready); err != nil {
			return nil, false, err
		} else if c != nil {
			if c.Elsewhere {
				q.rest = slices.Delete(q.rest, at, at+1)
			}
			return c, true, nil
		}
	}
	return nil, more, nil
}

// Each asks for the next item until none is left: do gets it, or that another process has finished it, and must Finish
// or Drop what is its own; wait is called where there is nothing to do at the moment. The first error ends it.
func (q *Queue) Each(ready func(i int) bool, do func(*Claim) error, wait func() error) error {
	for {
		c, more, err := q.Next(ready)
		switch {
		case err != nil:
			return err
		case c == nil && !more:
			return nil
		case c == nil:
			err = wait()
		default:
			err = do(c)
		}
		if err != nil {
			return err
		}
	}
}

// claim claims an item, or finds that it is finished; nil if neither.
func (q *Queue) claim(i int, ready func(i int) bool) (*Claim, error) {
	c := &Claim{Index: i, q: q}
	if q.board == nil {
		if ready != nil && !ready(i) {
			return nil, nil
		}
		q.held[i] = true
		return c, nil
	}
	last, number, err := q.board.last(q.items[i].Name)
	if err != nil {
		return nil, err
	}
	if number > 0 {
		runs, err := q.board.runs(last.Worker)
		switch {
		case err != nil:
			return nil, err
		case last.finished() && !q.again(i, last, runs):
			c.Elsewhere, c.Failed = true, last.Error
			return c, nil
		case !last.finished() && runs:
			return nil, nil
		}
	}
	if ready != nil && !ready(i) {
		return nil, nil
	}
	c.number = number + 1
	if c.record, err = q.board.take(q.items[i], c.number); err != nil || c.record == nil {
		return nil, err
	}
	q.held[i] = true
	return c, nil
}

// again reports whether an item that was finished before this process came is to be done again. What others do is left
// to them.
func (q *Queue) again(i int, last Record, runs bool) bool {
	return !runs && q.own[i] && q.board.earlier(last.Worker) && !q.items[i].current(last)
}

// current reports whether a finished item needs not be done again.
func (i Item) current(last Record) bool {
	if last.Error != "" || last.Stamp != i.Stamp {
		return false
	}
	return !slices.ContainsFunc(i.Outputs, func(path string) bool {
		_, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			atomicfile.Revisit(filepath.Dir(path))
			_, err = os.Lstat(path)
		}
		return errors.Is(err, fs.ErrNotExist)
	})
}

// Left are the items that others are doing, or that can't be done yet: what Next does not return.
func (q *Queue) Left() (left []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range q.rest {
		if !q.held[i] {
			left = append(left, i)
		}
	}
	return left
}

// Wait waits until it may be of use to ask for the next item again.
func (q *Queue) Wait(ctx context.Context) error {
	pause := min(max(q.o.Silence/(2*beats), 50*time.Millisecond), 5*time.Second)
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Doing says, for Status, that this process does an item and how far that is.
func (q *Queue) Doing(i int, done, total int64) {
	if q.board == nil {
		return
	}
	q.board.mu.Lock()
	defer q.board.mu.Unlock()
	q.board.self.Item, q.board.self.Done, q.board.self.Total = q.items[i].Name, done, total
}

// Held reports whether the item is still this process's: another takes it over if this one is too slow to give signs of
// life. What it writes is the same then.
func (c *Claim) Held() (bool, error) {
	if c.q.board == nil {
		return true, nil
	}
	return c.q.board.held(c.q.items[c.Index].Name, c.number)
}

// Finish says how the item ended. An item that isn't finished is another's when this process leaves.
func (c *Claim) Finish(failed error) error {
	q := c.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.board != nil {
		if err := q.board.finish(c.record, c.number, failed); err != nil {
			return err
		}
		q.board.mu.Lock()
		q.board.self.Work += q.items[c.Index].Work
		q.board.self.Item, q.board.self.Done, q.board.self.Total = "", 0, 0
		q.board.mu.Unlock()
	}
	q.rest = slices.DeleteFunc(q.rest, func(i int) bool { return i == c.Index })
	delete(q.held, c.Index)
	return nil
}

// Drop leaves the item to the process that has taken it over.
func (c *Claim) Drop() {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	delete(c.q.held, c.Index)
}

// Close leaves the others. What this process hasn't finished is free for them.
func (q *Queue) Close() error {
	if q.board == nil {
		return nil
	}
	hosts, err := q.board.deserted()
	q.sweep(hosts...)
	return errors.Join(err, q.board.leave())
}

// sweep removes what processes that were killed had begun to write where the items' outputs are: those of this machine,
// and those of hosts where none runs any more.
func (q *Queue) sweep(hosts ...string) {
	swept := map[string]bool{}
	for _, item := range q.items {
		for _, path := range item.Outputs {
			if folder := filepath.Dir(path); !swept[folder] {
				swept[folder] = true
				atomicfile.Sweep(folder, hosts...)
			}
		}
	}
}
