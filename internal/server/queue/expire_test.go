package queue_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/histdist/histdist/internal/server/queue"
)

// clock is a clock that a test sets.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	elapsed time.Duration
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Clock() queue.Clock {
	return queue.Clock{
		Wall: func() time.Time {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.now
		},
		Elapsed: func() time.Duration {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.elapsed
		},
	}
}

// pass lets time pass.
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.elapsed = c.now.Add(d), c.elapsed+d
}

// set changes the time of day alone.
func (c *clock) set(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// Results are kept for as long as the server says, whatever happens to the time of day while it runs; while it doesn't,
// the time of day counts, unless it goes back.
func TestExpiry(t *testing.T) {
	const day = 24 * time.Hour
	type step func(t *testing.T, c *clock, q *queue.Queue, o queue.Options) *queue.Queue
	pass := func(d time.Duration) step {
		return func(_ *testing.T, c *clock, q *queue.Queue, _ queue.Options) *queue.Queue {
			c.pass(d)
			return q
		}
	}
	set := func(d time.Duration) step {
		return func(_ *testing.T, c *clock, q *queue.Queue, _ queue.Options) *queue.Queue {
			c.set(d)
			return q
		}
	}
	restart := func(after time.Duration) step {
		return func(t *testing.T, c *clock, q *queue.Queue, o queue.Options) *queue.Queue {
			closed(t, q)
			c.set(after)
			return open(t, o)
		}
	}
	for name, test := range map[string]struct {
		keep  time.Duration
		steps []step
		gone  bool
	}{
		"not yet":                           {7 * day, []step{pass(7*day - time.Second)}, false},
		"in time":                           {7 * day, []step{pass(7 * day)}, true},
		"kept for ever":                     {0, []step{pass(1000 * day)}, false},
		"the clock jumps ahead":             {7 * day, []step{set(1000 * day), pass(day)}, false},
		"the clock jumps ahead, and time":   {7 * day, []step{set(1000 * day), pass(7 * day)}, true},
		"the clock jumps back":              {7 * day, []step{set(-1000 * day), pass(7 * day)}, true},
		"the server was off":                {7 * day, []step{pass(4 * day), restart(3 * day)}, true},
		"the server was off, not long":      {7 * day, []step{pass(4 * day), restart(2 * day)}, false},
		"the clock went back while off":     {7 * day, []step{pass(4 * day), restart(-100 * day), pass(2 * day)}, false},
		"it went back, and time":            {7 * day, []step{pass(4 * day), restart(-100 * day), pass(3 * day)}, true},
		"jump, restart: not counted twice":  {7 * day, []step{set(30 * day), pass(day), restart(day)}, false},
		"jump, restart: and then it's time": {7 * day, []step{set(30 * day), pass(day), restart(6 * day)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			o := queue.Options{Folder: t.TempDir(), Keep: test.keep, Clock: c.Clock()}
			var deleted []string
			o.Deleted = func(id string) { deleted = append(deleted, id) }
			q := open(t, o)
			a := add(t, q, "ann", "a")
			work(q, func(_ context.Context, j queue.Job, _ func(queue.Progress)) error {
				return os.MkdirAll(q.Folder(j.ID), 0o700)
			})
			until(t, q, a.ID, ended)
			waiting := add(t, q, "ann", "later") // jobs that have not ended don't expire
			until(t, q, waiting.ID, ended)
			for _, s := range test.steps {
				q = s(t, c, q, o)
			}
			if err := q.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := q.Get(t.Context(), a.ID)
			if gone := errors.Is(err, queue.ErrNotFound); gone != test.gone {
				t.Errorf("%v, want gone %t", err, test.gone)
			}
			if _, err := os.Stat(q.Folder(a.ID)); errors.Is(err, os.ErrNotExist) != test.gone {
				t.Errorf("its files: %v, want gone %t", err, test.gone)
			}
			told := len(slices.DeleteFunc(deleted, func(id string) bool { return id != a.ID }))
			if test.gone && told != 2 || !test.gone && told > 0 { // before its files are deleted, and after
				t.Errorf("told %d times", told)
			}
		})
	}
}

// A job that ends the server again and again is given up, unless it gets on.
func TestDeaths(t *testing.T) {
	for name, test := range map[string]struct {
		further int // parts between deaths
		deaths  int // after which it is as it ends
		want    queue.State
	}{
		"never further":     {0, 4, queue.Failed},
		"further each time": {1, 5, queue.Queued},
	} {
		t.Run(name, func(t *testing.T) {
			o := queue.Options{Folder: t.TempDir(), Limits: queue.Limits{Deaths: 3}}
			for i := range test.deaths {
				dies(t, o.Folder, i == 0, i*test.further)
				q := open(t, o)
				list, err := q.List(t.Context(), "", "")
				if err != nil || len(list) != 1 {
					t.Fatal(list, err)
				}
				closed(t, q)
				got, want := list[0].State, queue.Queued
				if i == test.deaths-1 {
					want = test.want
				}
				if got != want {
					t.Errorf("%s after %d deaths, want %s", got, i+1, want)
				}
				if got == queue.Failed && !strings.Contains(list[0].Error, "the server ended 4 times") {
					t.Errorf("%q", list[0].Error)
				}
			}
		})
	}
}
