package infer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
)

// Job is one file to be translated.
type Job struct {
	Input, Output string
	Reference     string // the true stain, for the panel; "" if there is none
}

// imageEndings are the files that a folder is searched for.
var imageEndings = []string{".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}

func isImage(path string) bool {
	return slices.Contains(imageEndings, strings.ToLower(filepath.Ext(path)))
}

// Plan lists the jobs for an input, which is a file, a folder that is searched with its sub-folders, or a pattern such as
// "slides/*.jpg", and an output, which is a file for one input file, else a folder. Names and sub-folders are kept; ending is
// the outputs' where output is a folder, such as ".png". reference is a file or a folder with files of the same names, or "".
func Plan(input, output, ending, reference string) ([]Job, error) {
	root, files, err := inputs(input)
	if err != nil {
		return nil, err
	}
	single := root == ""
	info, statErr := os.Stat(output)
	toFolder := !single || statErr == nil && info.IsDir() || strings.HasSuffix(output, string(filepath.Separator)) || filepath.Ext(output) == ""
	if !toFolder {
		ending = filepath.Ext(output)
	}
	if _, err := imagefile.FormatByName("x" + ending); err != nil {
		return nil, fmt.Errorf("output %s: %w", output, err)
	}
	jobs := make([]Job, 0, len(files))
	of := map[string]string{}
	for _, f := range files {
		j := Job{Input: f, Output: output}
		name := filepath.Base(f)
		if !single {
			if name, err = filepath.Rel(root, f); err != nil {
				return nil, err
			}
		}
		if toFolder {
			j.Output = filepath.Join(output, strings.TrimSuffix(name, filepath.Ext(name))+ending)
		}
		if other, twice := of[j.Output]; twice {
			return nil, fmt.Errorf("%s and %s would both be written to %s: rename one", other, f, j.Output)
		}
		of[j.Output] = f
		if same(j.Input, j.Output) {
			return nil, fmt.Errorf("%s: the output is the input: name another", j.Input)
		}
		if j.Reference, err = referenceOf(reference, name, single); err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// inputs returns the files of an input and the folder that their names are kept below, "" for a single file.
func inputs(input string) (root string, files []string, err error) {
	info, err := os.Stat(input)
	switch {
	case err == nil && !info.IsDir():
		return "", []string{input}, nil
	case err == nil:
		err = filepath.WalkDir(input, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if !e.IsDir() && isImage(path) && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, path)
			}
			return nil
		})
		if err == nil && len(files) == 0 {
			err = fmt.Errorf("%s: no images in the folder (looked for %s)", input, strings.Join(imageEndings, ", "))
		}
		return input, files, err
	case strings.ContainsAny(input, "*?["):
		files, err := filepath.Glob(input)
		if err != nil {
			return "", nil, fmt.Errorf("pattern %q: %w", input, err)
		}
		if len(files) == 0 {
			return "", nil, fmt.Errorf("pattern %q: no file fits", input)
		}
		root = input[:strings.IndexAny(input, "*?[")]
		return filepath.Dir(root + "x"), files, nil
	}
	return "", nil, err
}

// referenceOf finds the true stain of an input whose name, below the input's folder, is given.
func referenceOf(reference, name string, single bool) (string, error) {
	if reference == "" {
		return "", nil
	}
	info, err := os.Stat(reference)
	if err != nil {
		return "", fmt.Errorf("reference: %w", err)
	}
	if !info.IsDir() {
		if !single {
			return "", fmt.Errorf("reference %s is a file: want a folder for an input of many", reference)
		}
		return reference, nil
	}
	stem := filepath.Join(reference, strings.TrimSuffix(name, filepath.Ext(name)))
	for _, ending := range imageEndings {
		if _, err := os.Stat(stem + ending); err == nil {
			return stem + ending, nil
		}
	}
	return "", fmt.Errorf("reference: no image %s.*", stem)
}

func same(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}

// RunOptions say how files are translated.
type RunOptions struct {
	Settings   Settings
	Batch      int  // images of one size that are translated together; 1 or more
	Overwrite  bool // also outputs that are there
	Panel      bool // write NAME-panel.png beside each output
	Quality    int  // of JPEG; 0 means the format's default
	Provenance []imagefile.Pair
	// Latents, which may be nil, gets the states of the latents before each step of each job.
	Latents func(Job, Event) error
	// Report, which may be nil, is told of what happens.
	Report Reporter
}

// Reporter is told how a run goes, by one goroutine.
type Reporter interface {
	Begin(jobs int)
	// Step tells that a step of a batch begins.
	Step(jobs []Job, e Event)
	// Done tells that a job ended: err is nil, ErrSkipped or what went wrong.
	Done(j Job, err error)
}

// ErrSkipped stands for a job whose output was there, made from the same image with the same settings.
var ErrSkipped = errors.New("already done")

// errOther stands for an output that was made otherwise.
var errOther = errors.New("the output is there, made with other settings or by another program: --overwrite replaces it, or name another")

// Summary counts how jobs ended.
type Summary struct {
	Done    int       `json:"done"`
	Skipped int       `json:"skipped"`
	Failed  []Failure `json:"failed"`
}

// Failure is a job that was not done.
type Failure struct {
	Input string `json:"input"`
	Error string `json:"error"`
}

// loaded is a job with its image, or why there is none.
type loaded struct {
	Job
	image *imagefile.Image
	err   error
}

// Run translates files, a batch at a time, while the next images are decoded. A job whose output is there is skipped; one that fails does
// not end the others. Every output appears as a whole or not at all, so that a run that was stopped goes on where it was when it is
// started again. The error is ctx's when that ended.
func (p *Pipeline) Run(ctx context.Context, jobs []Job, o RunOptions) (Summary, error) {
	s := Summary{Failed: []Failure{}}
	var err error
	if o.Settings, _, err = p.Resolve(o.Settings); err != nil {
		return s, err
	}
	report := o.Report
	if report == nil {
		report = silent{}
	}
	report.Begin(len(jobs))
	done := func(j Job, err error) {
		switch {
		case err == nil:
			s.Done++
		case errors.Is(err, ErrSkipped):
			s.Skipped++
		default:
			s.Failed = append(s.Failed, Failure{j.Input, err.Error()})
		}
		report.Done(j, err)
	}
	ctx, stop := context.WithCancel(ctx)
	images := load(ctx, jobs, o)
	defer func() {
		stop()
		for range images { // the loader ends
		}
	}()
	var batch []loaded
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := p.translateFiles(ctx, batch, o, report, done)
		batch = batch[:0]
		return err
	}
	for l := range images {
		if l.err != nil {
			done(l.Job, l.err)
			continue
		}
		if len(batch) > 0 && (batch[0].image.Width != l.image.Width || batch[0].image.Height != l.image.Height) {
			if err := flush(); err != nil {
				return s, err
			}
		}
		if batch = append(batch, l); len(batch) >= max(o.Batch, 1) {
			if err := flush(); err != nil {
				return s, err
			}
		}
	}
	if err := flush(); err != nil {
		return s, err
	}
	return s, ctx.Err()
}

// load decodes images ahead of their use: one waits while the ones before it are translated.
func load(ctx context.Context, jobs []Job, o RunOptions) <-chan loaded {
	images := make(chan loaded)
	go func() {
		defer close(images)
		for _, j := range jobs {
			l := loaded{Job: j}
			if l.err = o.skip(j); l.err == nil {
				l.image, l.err = imagefile.Read(j.Input, imagefile.Options{})
			}
			select {
			case images <- l:
			case <-ctx.Done():
				return
			}
		}
	}()
	return images
}

// settingsKey is the statement in an output by which a later run knows what it was made with.
const settingsKey = "histdist.settings"

// skip says why a job need not or must not be done; nil means that it is to be done.
func (o RunOptions) skip(j Job) error {
	if o.Overwrite {
		return nil
	}
	if _, err := os.Stat(j.Output); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	pairs, err := imagefile.ReadProvenance(j.Output)
	if err != nil {
		return fmt.Errorf("%s: %w", j.Output, errOther)
	}
	for _, pair := range pairs {
		if pair.Key == settingsKey && pair.Value == o.settings() {
			return ErrSkipped
		}
	}
	return fmt.Errorf("%s: %w", j.Output, errOther)
}

// settings is everything that a picture depends on beside its image, in one line.
func (o RunOptions) settings() string {
	s := o.Settings
	line := fmt.Sprintf("steps-inversion=%d steps-translation=%d eta-inversion=%s eta=%s normalize=%s prediction-type=%s prompt-inversion=%q seed=%d",
		s.StepsInversion, s.StepsTranslation, s.EtaInversion, s.EtaTranslation, s.Normalize, s.Prediction, s.PromptInversion, s.Seed)
	if s.Without != "" {
		line += fmt.Sprintf(" without=%s", s.Without)
	}
	for _, p := range o.Provenance {
		if p.Key == ModelKey || p.Key == PrecisionKey {
			line += " " + strings.TrimPrefix(p.Key, "histdist.") + "=" + p.Value
		}
	}
	return line
}

// Statements on the model and the precision, which an output depends on, and on what of the model's folder was overridden or left open.
const (
	ModelKey     = "histdist.model"
	PrecisionKey = "histdist.precision"
	NotesKey     = "histdist.notes"
)

// translateFiles translates a batch and writes its outputs. What goes wrong with the batch as a whole is every job's error, but for
// ctx's, which is returned.
func (p *Pipeline) translateFiles(ctx context.Context, batch []loaded, o RunOptions, report Reporter, done func(Job, error)) error {
	jobs := make([]Job, len(batch))
	r := Request{Settings: o.Settings}
	for i, l := range batch {
		jobs[i] = l.Job
		r.Images = append(r.Images, l.image)
	}
	r.Observe = func(e Event) error {
		report.Step(jobs, e)
		if o.Latents == nil || e.Latents == nil {
			return nil
		}
		n := len(e.Latents) / len(jobs)
		for i, j := range jobs {
			one := e
			one.Latents, one.Shape[0] = e.Latents[i*n:(i+1)*n], 1
			if err := o.Latents(j, one); err != nil {
				return err
			}
		}
		return nil
	}
	results, err := p.Translate(ctx, r)
	if ended := ctx.Err(); ended != nil && err != nil {
		return ended
	}
	var bad *NotFiniteError
	if errors.As(err, &bad) && len(batch) > 1 { // one image takes no other with it
		for i := range batch {
			if err := p.translateFiles(ctx, batch[i:i+1], o, report, done); err != nil {
				return err
			}
		}
		return nil
	}
	for i, l := range batch {
		if err == nil {
			done(l.Job, o.write(l, results[i]))
		} else {
			done(l.Job, err)
		}
	}
	return nil
}

// write writes the output of a job, the panel first: a job with an output is a job that is done.
func (o RunOptions) write(l loaded, r Result) error {
	if err := os.MkdirAll(filepath.Dir(l.Output), 0o777); err != nil {
		return err
	}
	provenance := append(slices.Clone(o.Provenance), imagefile.Pair{Key: settingsKey, Value: o.settings()},
		imagefile.Pair{Key: "histdist.source", Value: filepath.Base(l.Input)})
	w := imagefile.WriteOptions{Provenance: provenance, Quality: o.Quality}
	if o.Panel {
		images := []*imagefile.Image{l.image, r.Picture}
		if l.Reference != "" {
			reference, err := imagefile.Read(l.Reference, imagefile.Options{})
			if err != nil {
				return err
			}
			images = append(images, reference)
		}
		if err := imagefile.Write(PanelName(l.Output), Panel(images...), w); err != nil {
			return err
		}
	}
	return imagefile.Write(l.Output, r.Picture, w)
}

// silent reports nothing.
type silent struct{}

func (silent) Begin(int)         {}
func (silent) Step([]Job, Event) {}
func (silent) Done(Job, error)   {}
