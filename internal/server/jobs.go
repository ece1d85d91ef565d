package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/histdist/histdist/internal/background"
	"github.com/histdist/histdist/internal/server/catalogue"
	"github.com/histdist/histdist/internal/server/queue"
)

// jobs is what a server knows of its translations.
type jobs struct {
	queue    *queue.Queue
	workers  sync.WaitGroup
	planning turns // of jobs that are planned: that reads a slide
	drawing  turns // of PNG files

	beat, pace time.Duration // of event streams: between signs of life, and at least between two events

	lock     sync.Mutex
	stains   map[string]stainImage // those that were looked at, by the job's identifier
	previews map[string]*preview   // of running jobs

	done, failed, cancelled atomic.Int64 // since the start
}

// stainImage is the stain of a finished job as an image. Who asks for tiles need not ask the queue for each.
type stainImage struct {
	user  string
	image *catalogue.Slide
}

// temporary is the pattern of files that exist while a job is planned.
const temporary = ".annotations-*.geojson"

// openJobs opens the queue and starts a worker for each device.
func (s *Server) openJobs(ctx context.Context) error {
	j := &s.jobs
	j.planning, j.drawing = make(turns, 2), make(turns, 1)
	j.stains, j.previews = map[string]stainImage{}, map[string]*preview{}
	j.beat, j.pace = 15*time.Second, time.Second
	left, err := filepath.Glob(filepath.Join(s.state, temporary))
	if err != nil {
		return err
	}
	for _, path := range left { // the server was killed
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("--state: %w", err)
		}
	}
	q, err := queue.Open(ctx, queue.Options{
		Folder: s.state, Keep: time.Duration(s.settings.Keep),
		Limits: queue.Limits{
			Queued: s.settings.MaxQueue, Time: time.Duration(s.settings.MaxJobTime), Disk: s.settings.MaxDisk,
		},
		Changed: s.jobChanged, Deleted: s.jobDeleted,
		Trouble: func(err error) { s.log.Error("jobs", "error", err) },
	})
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	j.queue = q
	s.countJobs()
	return s.startWorkers()
}

// countJobs adds what the metrics say of jobs.
func (s *Server) countJobs() {
	j, m := &s.jobs, s.metrics
	m.gauge("histdist_jobs_queued", "Jobs that wait.", func() float64 { n, _ := s.jobCounts(); return float64(n) })
	m.gauge("histdist_jobs_running", "Jobs that run.", func() float64 { _, n := s.jobCounts(); return float64(n) })
	m.gauge("histdist_jobs_bytes", "Disk space of results, and what waiting jobs will need.", func() float64 {
		stats, err := j.queue.Stats(context.Background())
		if err != nil {
			return 0
		}
		return float64(stats.Disk)
	})
	for name, n := range map[string]*atomic.Int64{"done": &j.done, "failed": &j.failed, "cancelled": &j.cancelled} {
		m.counter("histdist_jobs_"+name+"_total", "Jobs that ended as "+name+".", func() float64 { return float64(n.Load()) })
	}
}

// startWorkers opens the devices, each on the thread of its worker, and begins to work.
func (s *Server) startWorkers() error {
	opened := make(chan error, len(s.devices))
	thread := background.Run
	if s.options.Foreground {
		thread = func(f func()) { f() }
	}
	for _, d := range s.devices {
		s.jobs.workers.Go(func() {
			thread(func() {
				w, err := s.newWorker(d)
				opened <- err
				if err != nil {
					return
				}
				s.jobs.queue.Work(w.run)
				if err := w.close(); err != nil {
					s.log.Error("a device can't be closed", "device", d.Name, "error", err)
				}
			})
		})
	}
	var errs []error
	for range s.devices {
		errs = append(errs, <-opened)
	}
	return errors.Join(errs...)
}

// closeJobs ends the workers; what they were doing is continued at the next start.
func (s *Server) closeJobs() error {
	if s.jobs.queue == nil {
		return nil
	}
	err := s.jobs.queue.Close()
	s.jobs.workers.Wait()
	return err
}

// jobChanged notes what became of a job.
func (s *Server) jobChanged(job queue.Job) {
	j := &s.jobs
	switch job.State {
	case queue.Done:
		j.done.Add(1)
	case queue.Failed:
		j.failed.Add(1)
	case queue.Cancelled:
		j.cancelled.Add(1)
	}
	if job.State.Ended() {
		j.lock.Lock()
		delete(j.previews, job.ID)
		j.lock.Unlock()
	}
	s.log.Info("job", "job", job.ID, "state", string(job.State), "user", job.User, "spent", job.Spent)
}

// jobDeleted forgets and closes a result whose files are deleted.
func (s *Server) jobDeleted(id string) {
	s.jobs.lock.Lock()
	delete(s.jobs.stains, id)
	s.jobs.lock.Unlock()
	s.catalogue.Drop(id)
}

// jobCounts returns how many jobs wait and run.
func (s *Server) jobCounts() (queued, running int) {
	stats, err := s.jobs.queue.Stats(context.Background())
	if err != nil {
		s.log.Error("jobs", "error", err)
		return 0, 0
	}
	return stats.Jobs[queue.Queued], stats.Jobs[queue.Running]
}

// stainImage returns the stain of a job of the user's that is done; nil if there is none.
func (s *Server) stainImage(ctx context.Context, user, id string) (*catalogue.Slide, error) {
	j := &s.jobs
	j.lock.Lock()
	stain, known := j.stains[id]
	j.lock.Unlock()
	if !known {
		job, err := j.queue.Get(ctx, id)
		switch {
		case errors.Is(err, queue.ErrNotFound), err == nil && job.State != queue.Done:
			return nil, nil
		case err != nil:
			return nil, s.queueProblem(err)
		}
		path := filepath.Join(j.queue.Folder(id), stainFile)
		stain = stainImage{job.User, s.catalogue.File(id, path, stainFile, stainOptions)}
		j.lock.Lock()
		j.stains[id] = stain
		j.lock.Unlock()
	}
	if stain.user != user {
		return nil, nil
	}
	return stain.image, nil
}
