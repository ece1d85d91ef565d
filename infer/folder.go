package infer

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
)

// RunOptions say how files are translated.
type RunOptions struct {
	Settings  Settings
	Batch     int  // images of one size that are translated together; 1 or more
	Overwrite bool // also outputs that are there, whatever they are
	// Replace outputs that were made with another model or other settings. Without it they are errors: someone may want both.
	Replace bool
	Panel   bool              // write NAME-panel.png beside each output
	Quality int               // of JPEG; 0 means the format's default
	Read    imagefile.Options // how inputs and references are read

	Program     string // with its version, for the outputs' statements
	Description string // of the outputs; "" means DefaultDescription
	// Latents, which may be nil, gets the states of the latents before each step of each job.
	Latents func(Job, Event) error
	// Report, which may be nil, is told of what happens.
	Report Reporter
}

// DefaultDescription is what an output says first.
const DefaultDescription = "virtual stain, research use only"

// Reporter is told how a run goes, by one goroutine.
type Reporter interface {
	Begin(jobs int)
	// Step tells that a step of a batch begins.
	Step(jobs []Job, e Event)
	// Done tells that a job ended: err is nil, ErrSkipped or what went wrong.
	Done(j Job, err error)
	// End tells how the run ended.
	End(s Summary)
}

// Summary counts how jobs ended.
type Summary struct {
	Done    int            `json:"done"`
	Skipped int            `json:"skipped"`          // their outputs are current
	Remade  map[string]int `json:"remade,omitempty"` // of Done, those whose output or panel was there, by the reason
	Failed  []Failure      `json:"failed"`
}

// Failure is a job that was not done.
type Failure struct {
	Input string `json:"input"`
	Error string `json:"error"`
}

// run is a call of Run.
type run struct {
	p       *Pipeline
	o       RunOptions
	model   string   // its fingerprint
	notes   []string // what of the model's folder is overridden or left open
	report  Reporter
	summary Summary
}

// Run translates files, a batch at a time, while the next images are decoded. A job whose output is there and current is skipped: see
// origin.Origin.Since; one that is out of date is made anew. A job that fails does not end the others. Every output appears as a whole or
// not at all, so that a run that was stopped goes on where it was when it is started again. The error is ctx's when that ended.
func (p *Pipeline) Run(ctx context.Context, jobs []Job, o RunOptions) (Summary, error) {
	r := &run{p: p, o: o, report: o.Report, summary: Summary{Failed: []Failure{}, Remade: map[string]int{}}}
	var err error
	if r.o.Settings, r.notes, err = p.Resolve(o.Settings); err != nil {
		return r.summary, err
	}
	if r.report == nil {
		r.report = silent{}
	}
	if r.model, err = p.fingerprint(); err != nil {
		return r.summary, err
	}
	r.report.Begin(len(jobs))
	err = r.all(ctx, jobs)
	r.report.End(r.summary)
	return r.summary, err
}

// all does all jobs.
func (r *run) all(ctx context.Context, jobs []Job) error {
	ctx, stop := context.WithCancel(ctx)
	ahead := r.loadAhead(ctx, jobs)
	defer func() {
		stop()
		for range ahead { // the loader ends
		}
	}()
	var batch []loaded
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := r.translate(ctx, batch)
		batch = batch[:0]
		return err
	}
	for l := range ahead {
		switch {
		case l.err != nil:
			r.done(l, l.err)
			continue
		case l.image == nil:
			r.done(l, r.writePanel(l))
			continue
		}
		if len(batch) > 0 && (batch[0].image.Width != l.image.Width || batch[0].image.Height != l.image.Height) {
			if err := flush(); err != nil {
				return err
			}
		}
		if batch = append(batch, l); len(batch) >= max(r.o.Batch, 1) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return ctx.Err()
}

// done counts how a job ended.
func (r *run) done(l loaded, err error) {
	switch {
	case err == nil:
		r.summary.Done++
		if l.why != "" {
			r.summary.Remade[l.why]++
		}
	case errors.Is(err, ErrSkipped):
		r.summary.Skipped++
	default:
		r.summary.Failed = append(r.summary.Failed, Failure{l.Input, err.Error()})
	}
	r.report.Done(l.Job, err)
}

// loadAhead loads jobs ahead of their use: one waits while the ones before it are translated.
func (r *run) loadAhead(ctx context.Context, jobs []Job) <-chan loaded {
	ahead := make(chan loaded)
	go func() {
		defer close(ahead)
		for _, j := range jobs {
			select {
			case ahead <- r.load(ctx, j):
			case <-ctx.Done():
				return
			}
		}
	}()
	return ahead
}

// translate translates a batch and writes its outputs. What goes wrong with the batch as a whole is every job's error, but for ctx's,
// which is returned.
func (r *run) translate(ctx context.Context, batch []loaded) error {
	jobs := make([]Job, len(batch))
	request := Request{Settings: r.o.Settings}
	for i, l := range batch {
		jobs[i] = l.Job
		request.Images = append(request.Images, l.image)
	}
	request.Observe = func(e Event) error {
		r.report.Step(jobs, e)
		if r.o.Latents == nil || e.Latents == nil {
			return nil
		}
		n := len(e.Latents) / len(jobs)
		for i, j := range jobs {
			one := e
			one.Latents, one.Shape[0] = e.Latents[i*n:(i+1)*n], 1
			if err := r.o.Latents(j, one); err != nil {
				return err
			}
		}
		return nil
	}
	results, err := r.p.Translate(ctx, request)
	if ended := ctx.Err(); ended != nil && err != nil {
		return ended
	}
	var bad *NotFiniteError
	if errors.As(err, &bad) && len(batch) > 1 { // one image takes no other with it
		for i := range batch {
			if err := r.translate(ctx, batch[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	for i, l := range batch {
		if err == nil {
			r.done(l, r.write(l, results[i]))
		} else {
			r.done(l, err)
		}
	}
	return nil
}

// write writes the output of a job, and its panel.
func (r *run) write(l loaded, result Result) error {
	if err := os.MkdirAll(filepath.Dir(l.Output), 0o777); err != nil {
		return err
	}
	statements, err := r.statements(imagefile.VirtualStain, l, l.origin)
	if err != nil {
		return err
	}
	if err := imagefile.Write(l.Output, result.Picture, imagefile.WriteOptions{Provenance: statements, Quality: r.o.Quality}); err != nil {
		return err
	}
	if !r.o.Panel {
		return nil
	}
	return r.writePanel(l)
}

// writePanel writes the panel of a job whose output is written.
func (r *run) writePanel(l loaded) error {
	from, err := r.panelOrigin(l)
	if err != nil {
		return err
	}
	statements, err := r.statements(imagefile.Panel, l, from)
	if err != nil {
		return err
	}
	var images []*imagefile.Image
	for _, path := range []string{l.Input, l.Output, l.Reference} {
		if path == "" {
			continue
		}
		m, err := imagefile.Read(path, r.o.Read)
		if err != nil {
			return err
		}
		images = append(images, m)
	}
	return imagefile.Write(PanelName(l.Output), Panel(images...), imagefile.WriteOptions{Provenance: statements})
}

// statements are what an output or panel says of itself.
func (r *run) statements(kind imagefile.Kind, l loaded, from origin.Origin) ([]imagefile.Pair, error) {
	list := []imagefile.Pair{
		{Key: imagefile.KeyDescription, Value: cmp.Or(r.o.Description, DefaultDescription)},
		{Key: imagefile.KeyKind, Value: string(kind)},
		{Key: KeySource, Value: filepath.Base(l.Input)},
	}
	if len(r.notes) > 0 {
		list = append(list, imagefile.Pair{Key: keyNotes, Value: strings.Join(r.notes, "; ")})
	}
	of, err := from.Statements()
	return append(list, of...), err
}

// Statements of an output that don't identify it.
const (
	KeySource = "histdist.source" // the name of its source
	keyNotes  = "histdist.notes"
)

// silent reports nothing.
type silent struct{}

func (silent) Begin(int)         {}
func (silent) Step([]Job, Event) {}
func (silent) Done(Job, error)   {}
func (silent) End(Summary)       {}
