package queue

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/histdist/histdist/internal/lockfile"
	"github.com/histdist/histdist/internal/walk"
)

// Options say where a queue is, and what it allows.
type Options struct {
	Folder string // for the database, jobs.sqlite, a lock, and results, with a folder for each job
	Limits Limits
	Keep   time.Duration // how long an ended job and its files are kept; 0: until someone deletes it
	Clock  Clock

	// The following may be nil. They are called by several goroutines, which wait for them.
	Changed func(Job)       // after a job's state has changed
	Deleted func(id string) // before the files of a job are deleted, and after: nobody should have them open
	Trouble func(error)     // what went wrong where nobody waits for an answer
}

// Limits are what a queue takes at most. A limit of 0 is none.
type Limits struct {
	Queued int           // jobs that one user has waiting
	Time   time.Duration // of running a job, over all its starts
	Disk   int64         // bytes of the files of all jobs, with what waiting ones will need
	Deaths int           // ends of the process while a job ran and got no further; 0: defaultDeaths
}

// defaultDeaths is how often a job may end the server.
const defaultDeaths = 10

// Queue is an open queue. Its methods may be called by several goroutines.
type Queue struct {
	options Options
	store   *store
	shelf   *shelf
	lock    *lockfile.Lock
	running context.Context // ends when the queue is closed
	end     context.CancelCauseFunc
	tasks   sync.WaitGroup // workers and the sweeper
	added   chan struct{}  // has a value when a worker that waits should look for a job

	mu      sync.Mutex
	closed  bool
	live    map[string]*live           // the jobs that run
	watches map[string]map[*Watch]bool // by the job's ID
}

// Open opens the queue of a folder, which it makes if there is none. Jobs that ran when an earlier process ended wait
// again, as the first. A folder that another process has open, and a damaged database (ErrDamaged), are errors.
func Open(ctx context.Context, o Options) (_ *Queue, err error) {
	q := &Queue{
		options: o, added: make(chan struct{}, 1), live: map[string]*live{}, watches: map[string]map[*Watch]bool{},
	}
	q.options.Clock = o.Clock.complete()
	if q.options.Limits.Deaths == 0 {
		q.options.Limits.Deaths = defaultDeaths
	}
	if err := os.MkdirAll(filepath.Join(o.Folder, jobsFolder), 0o700); err != nil {
		return nil, fmt.Errorf("the state folder %s can't be written: %w", o.Folder, err)
	}
	q.lock, err = lockfile.Acquire(filepath.Join(o.Folder, "jobs.lock"))
	if held := (*lockfile.HeldError)(nil); errors.As(err, &held) {
		return nil, fmt.Errorf("the state folder %s is another server's: %w; each needs one of its own", o.Folder, err)
	} else if err != nil {
		return nil, fmt.Errorf("the state folder %s can't be written: %w", o.Folder, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.release())
		}
	}()
	if q.store, err = openStore(ctx, filepath.Join(o.Folder, "jobs.sqlite")); err != nil {
		return nil, err
	}
	if q.shelf, err = openShelf(ctx, q.store, q.options.Clock); err != nil {
		return nil, err
	}
	if err := q.recover(ctx); err != nil {
		return nil, err
	}
	if err := q.Sweep(ctx); err != nil {
		return nil, err
	}
	q.running, q.end = context.WithCancelCause(context.WithoutCancel(ctx))
	q.tasks.Go(func() { q.sweeper(q.running) })
	return q, nil
}

// Close ends the running jobs, which the next queue of the folder goes on with, and waits until all workers have
// returned.
func (q *Queue) Close() error {
	q.mu.Lock()
	again := q.closed
	q.closed = true
	q.mu.Unlock()
	if again {
		return nil
	}
	q.end(ErrStopping)
	q.tasks.Wait()
	err := q.store.update(context.Background(), func(tx *sql.Tx) error { return q.shelf.keep(context.Background(), tx) })
	return errors.Join(err, q.release())
}

// release gives up what Open took.
func (q *Queue) release() (err error) {
	if q.store != nil {
		err = q.store.close()
	}
	return errors.Join(err, q.lock.Close())
}

// recover puts the jobs that ran when the process ended at the head of the queue.
func (q *Queue) recover(ctx context.Context) error {
	ended, shelved := q.now().UnixMilli(), q.shelf.now()
	deaths := q.options.Limits.Deaths
	given := fmt.Sprintf("given up: the server ended %d times while this job ran, and it got no further", deaths+1)
	var left []string
	err := q.store.update(ctx, func(tx *sql.Tx) (err error) {
		for _, step := range []struct {
			query string
			args  []any
		}{
			{
				`UPDATE jobs SET state = 'cancelled', ended = ?, shelved = ?, disk = 0 WHERE state = 'running' AND cancel`,
				[]any{ended, shelved},
			},
			{
				`UPDATE jobs SET state = 'failed', error = ?, ended = ?, shelved = ?, disk = 0
				WHERE state = 'running' AND deaths >= ?`,
				[]any{given, ended, shelved, deaths},
			},
			{`UPDATE jobs SET state = 'queued', begun = 1, deaths = deaths + 1 WHERE state = 'running'`, nil},
		} {
			if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
				return err
			}
		}
		left, err = texts(ctx, tx, "SELECT id FROM jobs WHERE state IN ('failed', 'cancelled')")
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range left { // the process may have ended before their files were deleted
		if err := os.RemoveAll(q.Folder(id)); err != nil {
			return err
		}
	}
	return nil
}

func (q *Queue) now() time.Time { return q.options.Clock.Wall() }

func (q *Queue) trouble(err error) {
	if q.options.Trouble != nil {
		q.options.Trouble(err)
	}
}

func (q *Queue) deleted(id string) {
	if q.options.Deleted != nil {
		q.options.Deleted(id)
	}
}

// changed tells everyone who waits that a job has another state, and with it perhaps the places of others.
func (q *Queue) changed(id string) {
	q.mu.Lock()
	q.wake("")
	q.mu.Unlock()
	if q.options.Changed == nil {
		return
	}
	if job, err := q.Get(context.Background(), id); err == nil {
		q.options.Changed(job)
	} else if !errors.Is(err, ErrNotFound) {
		q.trouble(err)
	}
}

// NewID makes a random name of 22 characters: 128 bits in base64url.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Add adds a job, unless the user has added it before under the same key: then it returns that job, and created is
// false. Errors: ErrFull and ErrDisk, which pass; ErrTooLarge, ErrKey; ErrStorage.
func (q *Queue) Add(ctx context.Context, n New) (job Job, created bool, err error) {
	id := NewID()
	err = q.store.update(ctx, func(tx *sql.Tx) error {
		if n.Key != "" {
			earlier, err := one(ctx, tx, "WHERE user = ? AND key = ?", n.User, n.Key)
			switch {
			case err == nil && bytes.Equal(earlier.Request, n.Request):
				id = earlier.ID
				return nil
			case err == nil:
				return ErrKey
			case !errors.Is(err, ErrNotFound):
				return err
			}
		}
		if err := q.room(ctx, tx, n); err != nil {
			return err
		}
		created = true
		_, err := tx.ExecContext(ctx, `INSERT INTO jobs (id, user, key, request, state, created, disk)
			VALUES (?, ?, ?, ?, 'queued', ?, ?)`, id, n.User, sql.NullString{String: n.Key, Valid: n.Key != ""},
			[]byte(n.Request), q.now().UnixMilli(), n.Disk)
		return err
	})
	if err != nil {
		return Job{}, false, err
	}
	if created {
		q.changed(id)
		q.nudge()
	}
	job, err = q.Get(ctx, id)
	return job, created, err
}

// Find returns the job that a user has added under a key; ErrNotFound if there is none.
func (q *Queue) Find(ctx context.Context, user, key string) (Job, error) {
	r, err := one(ctx, q.store.reader, "WHERE user = ? AND key = ?", user, key)
	if err != nil {
		return Job{}, q.store.wrap(err)
	}
	return q.complete(ctx, r)
}

// room reports whether there is room for a job.
func (q *Queue) room(ctx context.Context, tx *sql.Tx, n New) error {
	limits := q.options.Limits
	if limits.Disk > 0 && n.Disk > limits.Disk {
		return fmt.Errorf("%w: its files may take %d bytes; %d are allowed", ErrTooLarge, n.Disk, limits.Disk)
	}
	waiting, err := number(ctx, tx, "SELECT count(*) FROM jobs WHERE state = 'queued' AND user = ?", n.User)
	if err != nil {
		return err
	}
	if limits.Queued > 0 && waiting >= int64(limits.Queued) {
		return fmt.Errorf("%w: %d of your jobs are waiting", ErrFull, waiting)
	}
	taken, err := number(ctx, tx, "SELECT coalesce(sum(disk), 0) FROM jobs")
	if err != nil {
		return err
	}
	if limits.Disk > 0 && taken+n.Others+n.Disk > limits.Disk {
		return fmt.Errorf("%w: delete results, or wait until they expire", ErrDisk)
	}
	return nil
}

// Get returns a job; ErrNotFound if there is none.
func (q *Queue) Get(ctx context.Context, id string) (Job, error) {
	r, err := one(ctx, q.store.reader, "WHERE id = ?", id)
	if err != nil {
		return Job{}, q.store.wrap(err)
	}
	return q.complete(ctx, r)
}

// List returns the jobs of a user, or of all for "", in a state, or in any for "": the newest first.
func (q *Queue) List(ctx context.Context, user string, state State) ([]Job, error) {
	list, err := rows(ctx, q.store.reader, "WHERE (? = '' OR user = ?) AND (? = '' OR state = ?) ORDER BY number DESC",
		user, user, state, state)
	if err != nil {
		return nil, q.store.wrap(err)
	}
	var places map[string]int
	jobs := make([]Job, len(list))
	for i, r := range list {
		if r.State == Queued && places == nil {
			if places, err = q.places(ctx); err != nil {
				return nil, err
			}
		}
		jobs[i] = q.present(r, places)
	}
	return jobs, nil
}

// complete adds to a stored job what is not stored.
func (q *Queue) complete(ctx context.Context, r row) (Job, error) {
	var places map[string]int
	if r.State == Queued {
		var err error
		if places, err = q.places(ctx); err != nil {
			return Job{}, err
		}
	}
	return q.present(r, places), nil
}

// places are the positions of the jobs that wait.
func (q *Queue) places(ctx context.Context) (map[string]int, error) {
	jobs, err := line(ctx, q.store.reader)
	if err != nil {
		return nil, q.store.wrap(err)
	}
	places := map[string]int{}
	for i, j := range jobs {
		places[j.id] = i + 1
	}
	return places, nil
}

// present adds the place, the progress and the expiry to a stored job.
func (q *Queue) present(r row, places map[string]int) Job {
	j := r.Job
	j.Position = places[j.ID]
	if r.shelved.Valid && q.options.Keep > 0 {
		left := time.Duration(r.shelved.Int64-q.shelf.now())*time.Millisecond + q.options.Keep
		j.Expires = q.now().Add(left).UTC().Truncate(time.Second)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.live[j.ID]; l != nil && j.State == Running {
		j.Progress = l.progress
	}
	return j
}

// Cancel ends a job: one that waits at once, a running one as soon as its Run returns. To an ended job it does nothing.
func (q *Queue) Cancel(ctx context.Context, id string) error {
	var waited bool
	err := q.store.update(ctx, func(tx *sql.Tx) error {
		r, err := one(ctx, tx, "WHERE id = ?", id)
		if err != nil {
			return err
		}
		waited = r.State == Queued
		switch r.State {
		case Queued:
			_, err = tx.ExecContext(ctx, `UPDATE jobs SET state = 'cancelled', ended = ?, shelved = ?, disk = 0
				WHERE id = ?`, q.now().UnixMilli(), q.shelf.now(), id)
		case Running:
			_, err = tx.ExecContext(ctx, "UPDATE jobs SET cancel = 1 WHERE id = ?", id)
		}
		return err
	})
	if err != nil {
		return err
	}
	if waited {
		err = os.RemoveAll(q.Folder(id)) // of an earlier start
		q.changed(id)
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.live[id]; l != nil {
		l.cancel(ErrCancelled)
	}
	q.wake(id)
	return nil
}

// Delete deletes an ended job and its files; ErrNotEnded if it has not ended.
func (q *Queue) Delete(ctx context.Context, id string) error {
	err := q.store.update(ctx, func(tx *sql.Tx) error {
		r, err := one(ctx, tx, "WHERE id = ?", id)
		if err == nil && !r.State.Ended() {
			err = ErrNotEnded
		}
		if err != nil {
			return err
		}
		return forget(ctx, tx, []string{id})
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.wake(id)
	q.mu.Unlock()
	return q.clear(ctx)
}

// Weigh measures the files of an ended job again, after some have been added.
func (q *Queue) Weigh(ctx context.Context, id string) error {
	bytes, err := walk.Size(q.Folder(id))
	if err != nil {
		return err
	}
	return q.store.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE jobs SET disk = ? WHERE id = ? AND shelved IS NOT NULL", bytes, id)
		return err
	})
}

// Stats are numbers of jobs and bytes.
type Stats struct {
	Jobs map[State]int
	Disk int64 // of the files of all jobs, with what waiting ones will need
}

// Stats counts.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Jobs: map[State]int{}}
	err := each(ctx, q.store.reader, func(found *sql.Rows) error {
		var state State
		var n int
		var disk int64
		err := found.Scan(&state, &n, &disk)
		s.Jobs[state], s.Disk = n, s.Disk+disk
		return err
	}, "SELECT state, count(*), sum(disk) FROM jobs GROUP BY state")
	return s, q.store.wrap(err)
}
