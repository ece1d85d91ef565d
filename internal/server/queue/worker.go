package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/histdist/histdist/internal/walk"
)

// live is a job that runs.
type live struct {
	id       string
	cancel   context.CancelCauseFunc
	began    time.Duration // by the clock's Elapsed
	progress Progress
	stored   Progress // what the database has
}

// Work does jobs, one after the other, until the queue is closed. Each caller is a worker: one for each device.
func (q *Queue) Work(run Run) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.tasks.Add(1)
	q.mu.Unlock()
	defer q.tasks.Done()
	for failures := 0; q.running.Err() == nil; {
		r, some, err := q.claim(q.running)
		switch {
		case err != nil && q.running.Err() == nil:
			q.trouble(err)
			q.pause(failures)
			failures++
		case some:
			failures = 0
			q.nudge() // another worker: there may be more
			q.do(r, run)
		default:
			select {
			case <-q.running.Done():
			case <-q.added:
			}
		}
	}
}

// nudge makes one worker that waits look for a job.
func (q *Queue) nudge() {
	select {
	case q.added <- struct{}{}:
	default: // one will look anyway
	}
}

// pause waits before something that failed is tried again, longer each time, or until the queue is closed.
func (q *Queue) pause(failures int) {
	const first, longest = 50 * time.Millisecond, 30 * time.Second
	t := time.NewTimer(min(first<<min(failures, 16), longest))
	defer t.Stop()
	select {
	case <-q.running.Done():
	case <-t.C:
	}
}

// claim takes the next job, if some waits.
func (q *Queue) claim(ctx context.Context) (r row, some bool, err error) {
	err = q.store.update(ctx, func(tx *sql.Tx) error {
		jobs, err := line(ctx, tx)
		if err != nil || len(jobs) == 0 {
			return err
		}
		next := jobs[0]
		if _, err := tx.ExecContext(ctx, `UPDATE jobs SET state = 'running', cancel = 0,
			started = coalesce(started, ?) WHERE id = ?`, q.now().UnixMilli(), next.id); err != nil {
			return err
		}
		if !next.begun { // the turn of one that was interrupted has been counted
			if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO turns (user, turn)
				SELECT ?, coalesce(max(turn), 0) + 1 FROM turns`, next.user); err != nil {
				return err
			}
		}
		some = true
		r, err = one(ctx, tx, "WHERE id = ?", next.id)
		return err
	})
	return r, some && err == nil, err
}

// do runs a job that was claimed, and records what became of it.
func (q *Queue) do(r row, run Run) {
	ctx, cancel := context.WithCancelCause(q.running)
	defer cancel(nil)
	if limit := q.options.Limits.Time; limit > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, max(limit-r.Spent, 0), ErrTime)
		defer stop()
	}
	l := &live{id: r.ID, cancel: cancel, began: q.options.Clock.Elapsed(), progress: r.Progress, stored: r.Progress}
	q.mu.Lock()
	q.live[r.ID] = l
	q.mu.Unlock()
	q.changed(r.ID)
	// Whoever cancelled the job since it was claimed found nothing to end.
	if now, err := one(ctx, q.store.reader, "WHERE id = ?", r.ID); err == nil && now.Stopping {
		cancel(ErrCancelled)
	}
	err := call(ctx, run, r.Job, func(p Progress) { q.report(l, p) })
	cause := context.Cause(ctx)
	q.mu.Lock()
	progress := l.progress
	q.mu.Unlock()
	o := outcome{id: r.ID, progress: progress, spent: r.Spent + q.options.Clock.Elapsed() - l.began}
	switch {
	case errors.Is(cause, ErrCancelled):
		o.state = Cancelled
	case err == nil:
		o.state = Done
	case errors.Is(cause, ErrStopping):
		o.state = Queued
	case errors.Is(cause, ErrTime):
		o.state, o.err = Failed, fmt.Sprintf("%v: more than %v", ErrTime, q.options.Limits.Time)
	default:
		o.state, o.err = Failed, err.Error()
	}
	if pe := (*panicError)(nil); errors.As(err, &pe) {
		q.trouble(err)
		o.err = "an error in this program: its log says more"
	}
	q.record(o)
}

// panicError is a panic of Run.
type panicError struct {
	value any
	stack []byte
}

// Error has the stack.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// call calls Run. A panic ends the job, not the server.
func call(ctx context.Context, run Run, job Job, report func(Progress)) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return run(ctx, job, report)
}

// steps is how often the progress of a job is stored.
const steps = 100

// step is how many steps of steps are done.
func (p Progress) step() int64 {
	if p.Of <= 0 {
		return 0
	}
	return p.Done * steps / p.Of
}

// report takes a job's progress.
func (q *Queue) report(l *live, p Progress) {
	took := q.options.Clock.Elapsed() - l.began
	if did := p.Done - p.Earlier; did > 0 && p.Of > p.Done {
		p.Left = time.Duration(float64(took) * float64(p.Of-p.Done) / float64(did))
	}
	q.mu.Lock()
	l.progress = p
	store := p.step() > l.stored.step() // further than any start before
	if store {
		l.stored = p
	}
	q.wake(l.id)
	q.mu.Unlock()
	if !store {
		return
	}
	text, err := json.Marshal(p)
	if err == nil {
		ctx := context.WithoutCancel(q.running)
		err = q.store.update(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE jobs SET progress = ?, deaths = 0 WHERE id = ?", string(text), l.id)
			return err
		})
	}
	if err != nil {
		q.trouble(err) // the job goes on: no more than the progress shown after a restart depends on it
	}
}

// outcome is what became of a job: an end, or Queued if it was interrupted.
type outcome struct {
	id       string
	state    State
	err      string
	spent    time.Duration
	progress Progress
}

// record stores an outcome. Until it can, the job is shown as running; if the process ends before, the job runs again
// and its Run finds the results whole.
func (q *Queue) record(o outcome) {
	defer func() {
		q.mu.Lock()
		delete(q.live, o.id)
		q.mu.Unlock()
		q.changed(o.id)
	}()
	for failures := 0; ; failures++ {
		state, err := q.tryRecord(o)
		if err == nil {
			if state == Failed || state == Cancelled {
				if err := os.RemoveAll(q.Folder(o.id)); err != nil {
					q.trouble(err)
				}
			}
			return
		}
		q.trouble(err)
		if q.running.Err() != nil {
			return
		}
		q.pause(failures)
	}
}

// tryRecord stores an outcome once and returns the state that it stored: a job that somebody cancelled in the meantime
// is cancelled.
func (q *Queue) tryRecord(o outcome) (state State, err error) {
	var disk int64
	if o.state == Done {
		if disk, err = walk.Size(q.Folder(o.id)); err != nil {
			return "", err
		}
	}
	ctx := context.Background()
	err = q.store.update(ctx, func(tx *sql.Tx) error {
		r, err := one(ctx, tx, "WHERE id = ?", o.id)
		if err != nil {
			return err
		}
		state = o.state
		if r.Stopping {
			state, o.err, disk = Cancelled, "", 0
		}
		if o.progress.Done < r.Progress.Done { // it was going over what earlier starts had done
			o.progress = r.Progress
		}
		text, err := json.Marshal(o.progress)
		if err != nil {
			return err
		}
		spent := o.spent.Milliseconds()
		if state == Queued {
			_, err = tx.ExecContext(ctx, `UPDATE jobs SET state = 'queued', begun = 1, deaths = 0, spent = ?, progress = ?
				WHERE id = ?`, spent, string(text), o.id)
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE jobs SET state = ?, ended = ?, shelved = ?, spent = ?, disk = ?, error = ?,
			progress = ? WHERE id = ?`, state, q.now().UnixMilli(), q.shelf.now(), spent, disk, o.err, string(text), o.id)
		return err
	})
	return state, err
}
