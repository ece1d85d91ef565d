package infer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/claim"
)

// FileOptions say how files are translated.
type FileOptions struct {
	Settings  Settings
	Preset    string // the name of the preset that the settings began with, for Start; "" if none
	Batch     int    // images of one size that are translated together; 1 or more
	Overwrite bool   // also outputs that are there, whatever they are
	// ReplaceOthers replaces outputs of another model or other settings. Otherwise they are errors: both may be wanted.
	ReplaceOthers bool
	Panel         bool              // write NAME-panel.png next to each output
	Quality       int               // of JPEG; 0 means the format's default
	Read          imagefile.Options // how inputs and references are read
	Match         Colours           // what is done to the colours of results; nil: nothing

	Program     string // with its version, for the outputs' statements
	Description string // of the outputs; "" means DefaultDescription
	// Latents is a .safetensors file for the only job's latents before each step and after the last: inversion and
	// translation, each [steps+1,C,h,w] as in PyTorch. "" is none.
	Latents string
	// Shard shares the jobs with other processes that write to the same folder.
	Shard Shard
	// Samples is how many stains of each image are made, with seeds from Settings.Seed on. Of 2 or more the output is the
	// mean, DeviationName says where they differ, and the output and the Summary have the positive areas. 0 is 1.
	Samples int
	// Calibration, which may be nil, also bounds the true area, with Samples.
	Calibration Calibration
	// Large translates an image that doesn't fit into memory at once; nil: such an image fails.
	Large   func(ctx context.Context, m *imagefile.Image, s Settings) (*imagefile.Image, error)
	Observe Observer
}

// files lists what a job writes.
func (o FileOptions) files(j Job) []string { return j.files(o.Panel, o.Samples > 1) }

// Colours changes the colours of finished stains, such as a stain.Match. Outputs state it as JSON, under match.
type Colours interface {
	Apply(pix []uint8) // RGB, in place, each pixel by itself
}

// DefaultDescription is what an output says first.
const DefaultDescription = "virtual stain, research use only"

// Note is the event that there is something to know, in a line.
type Note = progress.Note

// Start is the event of a run that begins.
type Start struct {
	Jobs   int
	Preset string // FileOptions.Preset
	Calls  int    // of the U-Net, for each job
}

// Done is the event of a job that ended.
type Done struct {
	Job
	Err error // nil, ErrSkipped, ErrElsewhere or what went wrong
}

// Summary counts how jobs ended.
type Summary struct {
	Done    int            `json:"done"`
	Skipped int            `json:"skipped"`          // their outputs are current
	Remade  map[string]int `json:"remade,omitempty"` // of Done, those whose output or panel existed, by reason
	Failed  []Failure      `json:"failed"`           // jobs, then Jobs.Unreadable
	// Areas are those of outputs that are means of samples, done and skipped.
	Areas []SampledArea `json:"positive_areas,omitempty"`

	Elsewhere int `json:"elsewhere,omitempty"` // done by other processes, or failed there

	Jobs       int `json:"-"`
	Unreadable int `json:"-"` // of Failed
}

// Failure is a job that was not done.
type Failure struct {
	Input string `json:"input"`
	Error string `json:"error"`
}

// Err says how many jobs failed; nil if none did.
func (s Summary) Err() error {
	var wrong []string
	if n := len(s.Failed) - s.Unreadable; n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d of %d images failed", n, s.Jobs))
	}
	if s.Unreadable > 0 {
		wrong = append(wrong, fmt.Sprintf("folders or links that could not be read: %d", s.Unreadable))
	}
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(wrong, "; "))
}

// run is a call of TranslateFiles.
type run struct {
	p       *Pipeline
	o       FileOptions
	model   string   // its fingerprint
	notes   []string // about the model's folder
	states  *recorder
	jobs    *claim.Queue
	reach   float64 // of FileOptions.Calibration
	summary Summary
	source  source // the last that was read

	observed func() error // the first error of FileOptions.Observe
}

// TranslateFiles translates files in batches, while the next images are decoded. A job whose output is current is
// skipped; one that is out of date is made anew: see origin.Origin.Since. A job that fails does not end the others.
// Every output appears whole or not at all, so that a stopped run continues when it is started again. The error is
// ctx's or the observer's.
func (p *Pipeline) TranslateFiles(ctx context.Context, jobs *Jobs, o FileOptions) (Summary, error) {
	r := &run{p: p, o: o, summary: Summary{Failed: []Failure{}, Remade: map[string]int{}, Jobs: len(jobs.List)}}
	r.o.Observe, r.observed = o.Observe.Keep()
	if o.Latents != "" {
		if o.Samples > 1 {
			return r.summary, fmt.Errorf("%s: the latents of %d samples in one file: want one sample", o.Latents, o.Samples)
		}
		if len(jobs.List) != 1 {
			return r.summary, fmt.Errorf("%s: the latents of %d images in one file: want one image", o.Latents, len(jobs.List))
		}
		r.states = &recorder{states: map[Phase][]float32{}}
	}
	var err error
	if o.Calibration != nil {
		if r.reach, err = o.Calibration.Reach(); err != nil {
			return r.summary, err
		}
	}
	if r.o.Settings, r.notes, err = p.Resolve(o.Settings); err != nil {
		return r.summary, err
	}
	if err := r.checkMarkers(jobs.List); err != nil {
		return r.summary, err
	}
	if r.model, err = p.Fingerprint(); err != nil {
		return r.summary, err
	}
	if r.jobs, err = r.queue(ctx, jobs); err != nil {
		return r.summary, err
	}
	if err = r.begin(jobs); err == nil {
		err = r.all(ctx, jobs.List)
	}
	err = errors.Join(err, r.jobs.Close())
	if err == nil && r.states != nil && r.summary.Done == 1 {
		err = r.states.save(o.Latents)
	}
	r.summary.Unreadable = len(jobs.Unreadable)
	r.summary.Failed = append(r.summary.Failed, jobs.Unreadable...)
	return r.summary, errors.Join(err, o.Observe.Report(r.summary))
}

// begin reports the notes and the start.
func (r *run) begin(jobs *Jobs) error {
	notes := r.notes
	if jobs.Own > 0 {
		own := fmt.Sprintf("%d virtual stains and panels that this program made are among the inputs and are ignored",
			jobs.Own)
		notes = slices.Concat([]string{own}, notes)
	}
	for _, n := range notes {
		if err := r.o.Observe.Report(Note(n)); err != nil {
			return err
		}
	}
	return r.o.Observe.Report(Start{len(jobs.List), r.o.Preset, r.o.Settings.Calls()})
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
		if l.claim == nil { // what comes next takes time
			if err := errors.Join(l.err, flush()); err != nil {
				return err
			}
			continue
		}
		if l.err == nil && l.image == nil {
			l.err = r.writePanel(l)
		}
		if l.image == nil {
			if err := r.done(l, l.err); err != nil {
				return err
			}
			continue
		}
		if len(batch) > 0 && (batch[0].image.Width != l.image.Width || batch[0].image.Height != l.image.Height ||
			r.full(batch) && batch[len(batch)-1].Input != l.Input) {
			if err := flush(); err != nil {
				return err
			}
		}
		if batch = append(batch, l); r.full(batch) && r.lastMarker(l.Job) {
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

// done counts and reports how a job ended.
func (r *run) done(l loaded, err error) error {
	switch failed := err; {
	case errors.Is(err, ErrElsewhere):
		if !l.claim.Elsewhere { // another process is doing it
			l.claim.Drop()
			return nil
		}
		r.summary.Elsewhere++
		return r.o.Observe.Report(Done{l.Job, err})
	case errors.Is(err, ErrSkipped):
		failed = nil
		fallthrough
	default:
		if err := l.claim.Finish(failed); err != nil {
			return err
		}
	}
	switch {
	case err == nil:
		if err := r.addArea(l); err != nil {
			return err
		}
		r.summary.Done++
		if l.why != "" {
			r.summary.Remade[l.why]++
		}
	case errors.Is(err, ErrSkipped):
		if err := r.addArea(l); err != nil {
			return err
		}
		r.summary.Skipped++
	default:
		r.summary.Failed = append(r.summary.Failed, Failure{l.Input, err.Error()})
	}
	return r.o.Observe.Report(Done{l.Job, err})
}

// loadAhead loads each job while those before it are translated. A value without a claim says that nothing can be
// loaded at the moment, or why nothing more can.
func (r *run) loadAhead(ctx context.Context, jobs []Job) <-chan loaded {
	ahead := make(chan loaded)
	go func() {
		defer close(ahead)
		for {
			c, more, err := r.jobs.Next(nil)
			if c == nil && !more && err == nil {
				return
			}
			l := loaded{err: err}
			switch {
			case c == nil:
			case c.Elsewhere:
				l = loaded{Job: jobs[c.Index], claim: c, err: ErrElsewhere}
			default:
				l = r.load(jobs[c.Index])
				l.claim = c
			}
			select {
			case ahead <- l:
			case <-ctx.Done():
				return
			}
			if err != nil || c == nil && r.jobs.Wait(ctx) != nil {
				return
			}
		}
	}()
	return ahead
}

// translate translates a batch and writes its outputs.
func (r *run) translate(ctx context.Context, batch []loaded) error {
	for _, together := range byMarkers(batch) {
		if err := r.translateTogether(ctx, together); err != nil {
			return err
		}
	}
	return nil
}

// translateTogether translates jobs as byMarkers returns them. An error of the whole batch is every job's, except
// ctx's and the observer's, which are returned.
func (r *run) translateTogether(ctx context.Context, batch []loaded) error {
	jobs := make([]Job, len(batch))
	request := Request{Settings: r.settingsOf(batch[0].Job)}
	for i, l := range batch {
		jobs[i] = l.Job
		switch {
		case l.Marker == batch[0].Marker:
			request.Images = append(request.Images, l.image)
		case l.Marker != batch[i-1].Marker:
			request.Settings.Marker = append(request.Settings.Marker, r.settingsOf(l.Job).Marker...)
		}
	}
	request.Observe = func(event any) error {
		e := event.(Step)
		e.Jobs = jobs
		if r.states != nil && e.Latents != nil {
			r.states.add(e)
		}
		r.doing(batch, e)
		return r.o.Observe.Report(e)
	}
	stains, err := r.overSeeds(len(batch), request.Settings, func(s Settings) ([]*imagefile.Image, error) {
		request.Settings = s
		results, err := r.p.Translate(ctx, request)
		var images []*imagefile.Image
		for _, result := range results {
			images = append(images, result.Image)
		}
		return images, err
	})
	if ended := cmp.Or(ctx.Err(), r.observed()); ended != nil && err != nil {
		return ended
	}
	var bad *NotFiniteError
	memory := errors.Is(err, vm.ErrMemory)
	if (errors.As(err, &bad) || memory) && len(batch) > 1 { // one bad or large image must not fail the others
		for i := range batch {
			if err := r.translate(ctx, batch[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if memory && r.o.Large != nil {
		stains, err = r.overSeeds(1, request.Settings, func(s Settings) ([]*imagefile.Image, error) {
			m, err := r.o.Large(ctx, request.Images[0], s)
			return []*imagefile.Image{m}, err
		})
		batch[0].large = err == nil
		if ended := ctx.Err(); ended != nil && err != nil {
			return ended
		}
	}
	for i, l := range batch {
		failed := err
		if err == nil {
			failed = r.write(l, stains[i])
		}
		if err := r.done(l, failed); err != nil {
			return err
		}
	}
	return nil
}

// write writes the output of a job, and its panel, unless another process has taken the job over.
func (r *run) write(l loaded, s stained) error {
	if held, err := l.claim.Held(); err != nil || !held {
		return cmp.Or(err, ErrElsewhere)
	}
	if err := os.MkdirAll(filepath.Dir(l.Output), 0o777); err != nil {
		return err
	}
	statements, err := r.statements(imagefile.VirtualStain, l, l.origin)
	if err != nil {
		return err
	}
	if s.area != nil {
		if statements, err = r.writeDeviation(l, s); err != nil {
			return err
		}
	}
	o := imagefile.WriteOptions{Provenance: statements, Quality: r.o.Quality}
	if err := imagefile.Write(l.Output, s.image, o); err != nil || !r.o.Panel {
		return err
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

// statements are the provenance of an output or panel.
func (r *run) statements(kind imagefile.Kind, l loaded, from origin.Origin) ([]imagefile.Pair, error) {
	list := []imagefile.Pair{
		{Key: imagefile.KeyDescription, Value: cmp.Or(r.o.Description, DefaultDescription)},
		{Key: imagefile.KeyKind, Value: string(kind)},
		{Key: KeySource, Value: filepath.Base(l.Input)},
	}
	notes := r.notes
	if l.large {
		notes = append(slices.Clip(notes), "translated in windows, because it did not fit into memory at once")
	}
	if len(notes) > 0 {
		list = append(list, imagefile.Pair{Key: keyNotes, Value: strings.Join(notes, "; ")})
	}
	of, err := from.Statements()
	return append(list, of...), err
}

// Statements of an output that don't affect whether it is current.
const (
	KeySource = "histdist.source" // the name of its source
	keyNotes  = "histdist.notes"
)
