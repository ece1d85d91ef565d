package ranks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Error is why the ranks of a job can't go on: one of them is gone, hangs, failed, or is not set up like the others.
// All ranks have the same.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// Job is this process among the ranks of its job. Its methods are safe for concurrent use, but those of one name in all
// ranks belong together: Agree and FromFirst must be called in the same order by all.
type Job struct {
	launch  Launch
	o       Options
	host    string
	members []member // by rank, those with a connection: rank 0 has one to each, the others one to rank 0

	mu       sync.Mutex
	now      state
	since    time.Time // of now
	question *question // at rank 0; what is asked at present
	answers  chan message
	leaving  bool // Leave was called without an error
	left     bool // and is over

	failed  chan struct{}
	err     *Error // why, when failed is closed
	failing sync.Once
	ended   chan struct{} // all others have ended
	done    chan struct{} // this one has left
	running sync.WaitGroup
}

// member is another rank.
type member struct {
	wire  *wire
	rank  int
	host  string
	now   state // guarded by Job.mu
	ended bool  // likewise
}

func (m *member) String() string { return fmt.Sprintf("rank %d (%s)", m.rank, m.host) }

func newJob(l Launch, o Options, host string) *Job {
	return &Job{
		launch: l, o: o, host: host, members: make([]member, l.Size), since: time.Now(),
		answers: make(chan message, 1), failed: make(chan struct{}), ended: make(chan struct{}), done: make(chan struct{}),
	}
}

// Rank is this process's, from 0.
func (j *Job) Rank() int { return j.launch.Rank }

// Size is the number of ranks.
func (j *Job) Size() int { return j.launch.Size }

// Local is this process's number on its machine.
func (j *Job) Local() int { return j.launch.Local }

// Failed is closed when the job has failed; then Err says why.
func (j *Job) Failed() <-chan struct{} { return j.failed }

// Err is nil until the job has failed.
func (j *Job) Err() error {
	select {
	case <-j.failed:
		return j.err
	default:
		return nil
	}
}

// Context ends with ctx, and when the job has failed.
func (j *Job) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-j.failed:
			cancel(j.err)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// begin starts what goes on until the end.
func (j *Job) begin() {
	for _, m := range j.others() {
		j.running.Go(func() { j.listen(m) })
	}
	j.running.Go(j.beats)
}

// listen takes what another rank sends.
func (j *Job) listen(m *member) {
	for {
		got, err := m.wire.receive()
		if err != nil {
			j.lost(m, err)
			return
		}
		switch got.Kind {
		case beat:
			j.mu.Lock()
			m.now = got.Now
			j.mu.Unlock()
		case ask:
			j.part(m, got)
		case answer:
			j.answers <- got
		case failure:
			j.fail(got.Text)
		case end:
			if got.Text != "" {
				j.fail(fmt.Sprintf("%v failed: %s", m, got.Text))
			}
			j.end(m)
		}
	}
}

// end notes that a rank is done, which must not be before what the others still wait for.
func (j *Job) end(m *member) {
	j.mu.Lock()
	m.ended = true
	early, last := "", true
	if q := j.question; q != nil && q.parts[m.rank] == nil {
		early = q.name
	}
	for _, other := range j.others() {
		last = last && other.ended
	}
	j.mu.Unlock()
	if early != "" {
		j.fail(fmt.Sprintf("%v has ended before %s", m, early))
	}
	if last {
		close(j.ended)
	}
}

// lost is the end of a connection.
func (j *Job) lost(m *member, err error) {
	j.mu.Lock()
	expected := m.ended || j.left
	j.mu.Unlock()
	if expected {
		return
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		j.fail(fmt.Sprintf("nothing was heard of %v for %s: its machine, its network or its process stands still",
			m, j.o.Silence))
		return
	}
	j.fail(fmt.Sprintf("%v is gone: its process was killed, or its machine restarted", m))
}

// fail ends the job, for the first reason that there is. Rank 0 tells the others.
func (j *Job) fail(text string) {
	j.failing.Do(func() {
		j.err = &Error{text}
		if j.launch.Rank == 0 {
			var told sync.WaitGroup
			for _, m := range j.others() {
				told.Go(func() { _ = m.wire.send(message{Kind: failure, Text: text}) }) // it may be the one that is gone
			}
			told.Wait()
		}
		close(j.failed)
	})
}

// Leave ends this rank's part, with the error that it ended with, and returns the job's. Without an error it waits
// until all ranks have come so far.
func (j *Job) Leave(err error) error {
	j.mu.Lock()
	j.leaving = err == nil
	summing := j.now.Doing == Summing
	j.mu.Unlock()
	if err != nil {
		j.blame(err, summing)
	} else {
		j.finish()
	}
	failed := j.Err()
	j.mu.Lock()
	j.left = true
	j.mu.Unlock()
	close(j.done)
	j.close()
	j.running.Wait()
	return failed
}

// blame reports this rank's error, unless it only shows that another one has failed.
func (j *Job) blame(err error, summing bool) {
	patience := 2 * j.o.Beat
	if summing { // NCCL notices, too, that a rank is gone, but not which
		patience += j.o.Silence
	}
	select {
	case <-j.failed:
		return
	case <-time.After(patience):
	}
	if j.launch.Rank == 0 {
		j.fail(fmt.Sprintf("rank 0 (%s) failed: %v", j.host, err))
		return
	}
	_ = j.members[0].wire.send(message{Kind: end, Text: err.Error()}) // or it is gone itself
	select {
	case <-j.failed:
	case <-time.After(j.o.Silence):
	}
}

// finish ends in order: the others tell rank 0, and rank 0 tells them when all have.
func (j *Job) finish() {
	if j.launch.Rank != 0 {
		if err := j.members[0].wire.send(message{Kind: end}); err != nil {
			j.lost(&j.members[0], err)
		}
	}
	select {
	case <-j.failed:
		return
	case <-j.ended:
	}
	if j.launch.Rank == 0 {
		for _, m := range j.others() {
			_ = m.wire.send(message{Kind: end})
		}
	}
}

func (j *Job) close() {
	for _, m := range j.others() {
		_ = m.wire.Close()
	}
}
