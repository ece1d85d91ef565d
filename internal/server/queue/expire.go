package queue

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Clock tells the time. The zero Clock is the system's.
type Clock struct {
	Wall    func() time.Time     // the time of day, which can be set
	Elapsed func() time.Duration // since some moment of this process; it only grows, whatever is done to the time of day
}

// complete returns the clock with what is missing taken from the system.
func (c Clock) complete() Clock {
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if c.Elapsed == nil {
		start := time.Now()
		c.Elapsed = func() time.Duration { return time.Since(start) }
	}
	return c
}

// shelf is the clock by which results age. It goes on with the time that passes while the server runs, whatever the
// time of day is set to, and while it doesn't run with the time of day, unless that went back. Its readings are
// milliseconds without a meaning of their own.
type shelf struct {
	clock   Clock
	reading int64         // when it was last advanced
	elapsed time.Duration // at that moment
}

// now is the reading.
func (s *shelf) now() int64 { return s.reading + (s.clock.Elapsed() - s.elapsed).Milliseconds() }

// openShelf continues the clock where an earlier server left it.
func openShelf(ctx context.Context, s *store, c Clock) (*shelf, error) {
	h := &shelf{clock: c, elapsed: c.Elapsed()}
	err := s.update(ctx, func(tx *sql.Tx) error {
		wall := c.Wall().UnixMilli()
		err := each(ctx, tx, func(found *sql.Rows) error {
			var then int64
			err := found.Scan(&then, &h.reading)
			h.reading += max(wall-then, 0)
			return err
		}, "SELECT wall, shelf FROM clock")
		if err != nil {
			return err
		}
		return h.keep(ctx, tx)
	})
	return h, err
}

// keep stores the reading.
func (s *shelf) keep(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO clock (one, wall, shelf) VALUES (1, ?, ?)",
		s.clock.Wall().UnixMilli(), s.now())
	return err
}

// sweepEvery is how often results are looked through.
const sweepEvery = time.Minute

// sweeper deletes what has expired until ctx ends.
func (q *Queue) sweeper(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := q.Sweep(ctx); err != nil && ctx.Err() == nil {
				q.trouble(err)
			}
		}
	}
}

// Sweep deletes the jobs that ended longer than Keep ago, with their files. The queue calls it every minute, and when
// it is opened.
func (q *Queue) Sweep(ctx context.Context) error {
	var expired []string
	err := q.store.update(ctx, func(tx *sql.Tx) (err error) {
		if err := q.shelf.keep(ctx, tx); err != nil || q.options.Keep == 0 {
			return err
		}
		expired, err = texts(ctx, tx, "SELECT id FROM jobs WHERE shelved <= ?",
			q.shelf.now()-q.options.Keep.Milliseconds())
		if err != nil {
			return err
		}
		return forget(ctx, tx, expired)
	})
	if err != nil {
		return err
	}
	return q.clear(ctx)
}

// forget takes jobs off the list. What was theirs is noted, so that it is deleted even if the process ends before.
func forget(ctx context.Context, tx *sql.Tx, ids []string) error {
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO deleted (id) VALUES (?)", id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM jobs WHERE id = ?", id); err != nil {
			return err
		}
	}
	return nil
}

// clear deletes the files of jobs that were forgotten: now, or before.
func (q *Queue) clear(ctx context.Context) error {
	ids, err := texts(ctx, q.store.reader, "SELECT id FROM deleted")
	if err != nil {
		return q.store.wrap(err)
	}
	var errs []error
	var gone []any
	for _, id := range ids {
		q.deleted(id)
		if err := os.RemoveAll(q.Folder(id)); err != nil {
			errs = append(errs, err)
			continue
		}
		q.deleted(id)
		gone = append(gone, id)
	}
	for part := range slices.Chunk(gone, 500) {
		errs = append(errs, q.store.update(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "DELETE FROM deleted WHERE id IN ("+placeholders(len(part))+")", part...)
			return err
		}))
	}
	return errors.Join(errs...)
}

// Folder is where the files of a job are: its Run's to make.
func (q *Queue) Folder(id string) string { return filepath.Join(q.options.Folder, jobsFolder, id) }

// jobsFolder has the folders of all jobs.
const jobsFolder = "results"
