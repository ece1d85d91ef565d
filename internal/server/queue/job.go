package queue

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// State says where a job is.
type State string

// The states. The last three are final.
const (
	Queued    State = "queued"
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Known reports whether a state is one of these.
func (s State) Known() bool { return s == Queued || s == Running || s.Ended() }

// Ended reports whether a state is final.
func (s State) Ended() bool { return s == Done || s == Failed || s == Cancelled }

// Job is a job as it is at one moment.
type Job struct {
	ID      string // 22 letters, digits, - and _; random
	User    string
	Request json.RawMessage // what to do: the queue doesn't read it
	State   State

	Created time.Time
	Started time.Time // the first time; zero before
	Ended   time.Time // zero before
	Expires time.Time // when an ended job is deleted, by the clock as it is now; zero if it isn't

	Position  int           // of a queued job: 1 is the next; 0 of others
	Stopping  bool          // it runs, but is to be cancelled
	Restarted bool          // it was running when an earlier server ended
	Spent     time.Duration // of running, up to the last start or stop
	Disk      int64         // bytes: as estimated until it has ended
	Error     string        // of a failed job
	Progress  Progress
}

// Progress says how far a job is. The queue only compares and divides: what is counted, Run knows.
type Progress struct {
	Done    int64         `json:"done"` // of Of, those of earlier starts included
	Of      int64         `json:"of"`
	Earlier int64         `json:"earlier"` // part of Done that earlier starts did
	Parts   int           `json:"parts"`   // finished, of OfParts
	OfParts int           `json:"of_parts"`
	Left    time.Duration `json:"-"` // until the end, at the speed so far; 0 while it is unknown. The queue fills it in
}

// Run does a job, one at a time for each worker. Its results are whole if it returns nil. It is called again for a job
// that was interrupted, with the folder as it was left, and goes on from there; if the results are whole it returns nil
// at once. It returns soon after ctx has ended. The error of a job that failed is shown to its user.
type Run func(ctx context.Context, job Job, report func(Progress)) error

// New is a job to be added.
type New struct {
	User string
	// Key, if it is not "", names the request: a second one of the user with the same key is the same job.
	Key     string
	Request json.RawMessage
	Disk    int64 // bytes that its files will take at most, as far as is known
	Others  int64 // bytes of Limits.Disk that are taken by what isn't the queue's
}

// The errors of a queue.
var (
	ErrFull     = errors.New("the queue is full")
	ErrDisk     = errors.New("the disk space for results is used up")
	ErrTooLarge = errors.New("larger than all results together may be")
	ErrKey      = errors.New("this key belongs to another request")
	ErrNotFound = errors.New("there is no such job")
	ErrNotEnded = errors.New("the job has not ended")
	// ErrDamaged says that the database can't be read. Nothing is deleted then.
	ErrDamaged = errors.New("the database of jobs is damaged")
	// ErrStorage says that the database can't be written.
	ErrStorage = errors.New("jobs can't be stored")
	// ErrCancelled is the cause of the end of a cancelled job's context, ErrStopping when the server ends, and ErrTime
	// when the job took too long.
	ErrCancelled = errors.New("cancelled")
	ErrStopping  = errors.New("the server is stopping")
	ErrTime      = errors.New("the job took too long")
)
