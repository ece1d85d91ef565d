package infer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/parallel"
)

// Shard divides work among processes that write to one output, such as the tasks of a job array: each item is done by
// one of them. The zero Shard is a process that does all.
type Shard struct {
	// Index of Count, 1 to Count, is the part that this process does first. It goes on with what is left of the others.
	Index, Count int
	// DeadAfter is how long another process may give no sign of life until its items are taken over; 0: 2 minutes.
	DeadAfter time.Duration
}

// ErrElsewhere is the error of a job that another process has done.
var ErrElsewhere = errors.New("done by another process")

// queue are the jobs to do, shared if the options say so.
func (r *run) queue(ctx context.Context, jobs *Jobs) (*claim.Queue, error) {
	s := r.o.Shard
	o := claim.Options{Part: claim.Part{I: s.Index, N: s.Count}, Silence: s.DeadAfter}
	if s.Count == 0 || len(jobs.List) == 0 {
		items := make([]claim.Item, len(jobs.List))
		for i, j := range jobs.List {
			items[i].Outputs = r.o.files(j)
		}
		return claim.Open(items, o)
	}
	items, err := jobs.items(ctx, r.o.files)
	if err != nil {
		return nil, err
	}
	o.Folder = filepath.Join(jobs.Folder, claim.FolderName)
	if o.Origin, err = r.common(jobs.List[0]); err != nil {
		return nil, err
	}
	q, err := claim.Open(items, o)
	if err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	return q, nil
}

// items are the jobs as work to be shared. files lists what a job writes.
func (j *Jobs) items(ctx context.Context, files func(Job) []string) ([]claim.Item, error) {
	if j.Folder == "" {
		return nil, errors.New("an output that is a file can't be shared: want a folder")
	}
	items := make([]claim.Item, len(j.List))
	err := parallel.Each(ctx, len(items), 2*runtime.GOMAXPROCS(0), func(i int) (err error) {
		items[i], err = claim.FileItem(j.Folder, j.List[i].Input, files(j.List[i]), j.Work(i))
		return err
	})
	return items, err
}

// Outlook says in lines of text what a shard would do of the jobs: how many it begins with, which, and how many of
// these are done. It changes nothing.
func (j *Jobs) Outlook(ctx context.Context, s Shard) (string, error) {
	items, err := j.items(ctx, j.options.files)
	if err != nil {
		return "", err
	}
	o, err := claim.Look(items, claim.Part{I: s.Index, N: s.Count}, filepath.Join(j.Folder, claim.FolderName))
	if err != nil {
		return "", err
	}
	things, unit := "images", "pixels"
	if j.options.Slides {
		things, unit = "slides", "files' bytes"
	}
	const most = 10
	return o.Text(things, unit, most), nil
}

// common is what all outputs of a run depend on.
func (r *run) common(j Job) (origin.Origin, error) {
	j.Marker = "" // all that the run is for
	o, err := r.origin(j, "")
	if err != nil {
		return o, err
	}
	o.Sources = nil
	also, err := origin.NewSettings(o.Settings, struct {
		Format string `json:"format"`
		Panel  bool   `json:"panel"`
	}{filepath.Ext(j.Output), r.o.Panel})
	o.Settings = also
	return o, err
}

// doing says how far a batch is.
func (r *run) doing(batch []loaded, e Step) {
	done := e.Index
	switch e.Phase {
	case Translation:
		done += r.o.Settings.Inversions()
	case Decoding:
		done = r.o.Settings.Calls()
	}
	r.jobs.Doing(batch[0].claim.Index, int64(done), int64(r.o.Settings.Calls()))
}
