package infer

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
)

// Options say what a Pipeline runs on.
type Options struct {
	Device    device.Device // stays the caller's
	Precision vm.Precision  // float32 unless said otherwise
	// UNet gives the parameters of a graph of the U-Net their weights, such as those of a training; nil: the model's.
	UNet func(params gorgonia.Nodes) error
	// LowMemory trades time for memory: see vm.Options.
	LowMemory bool
	// MemoryLimit is the number of bytes that one network may take; 0 means what the device has.
	MemoryLimit int64
}

// Pipeline translates images with one model. It is used by one goroutine at a time.
type Pipeline struct {
	model    *model.Model
	options  Options
	vm       vm.Options // of every network
	damaged  error      // the weights are not finite
	texts    map[string][]float32
	programs *programs
	id       string // the model's fingerprint; "" until needed
	owned    bool   // the model is closed with the pipeline
}

// Open opens a model and makes a pipeline of it, which closes it in the end: see model.Open and New.
func Open(name string, mo model.Options, o Options) (*Pipeline, error) {
	m, err := model.Open(name, mo)
	if err != nil {
		return nil, err
	}
	p := New(m, o)
	p.owned = true
	return p, nil
}

// New makes a pipeline from a model, which stays the caller's. Programs are compiled when the size of images changes.
func New(m *model.Model, o Options) *Pipeline {
	if o.UNet == nil {
		o.UNet = m.BindUNet
	}
	compile := vm.Options{Device: o.Device, Precision: o.Precision, LowMemory: o.LowMemory, MemoryLimit: o.MemoryLimit}
	return &Pipeline{model: m, options: o, vm: compile, texts: map[string][]float32{}}
}

// Fingerprint identifies the model's content. It is computed once, and reads all weights.
func (p *Pipeline) Fingerprint() (id string, err error) {
	if p.id == "" {
		p.id, err = p.model.Fingerprint()
	}
	return p.id, err
}

// Adapters are those that a model was opened with.
type Adapters = []model.Adapter

// Adapters are those of the pipeline's model.
func (p *Pipeline) Adapters() Adapters { return p.model.Adapters }

// Close frees the pipeline's memory.
func (p *Pipeline) Close() error {
	err := p.forget()
	if p.owned {
		err = errors.Join(err, p.model.Close())
	}
	return err
}

// forget frees the compiled programs.
func (p *Pipeline) forget() error {
	if p.programs == nil {
		return nil
	}
	err := p.programs.close()
	p.programs = nil
	return err
}

// Phase is a part of a translation.
type Phase string

// The phases, in their order.
const (
	Encoding    Phase = "encode"
	Inversion   Phase = "inversion"
	Translation Phase = "translation"
	Decoding    Phase = "decode"
)

// Observer receives events: Step, and for files also Start, Note, Done and Summary. Its error ends the work.
type Observer = progress.Observer

// Step is the event that step Index of Count of a Phase begins. Latents [N,h,w,C] are the latents before the step, or
// with Index Count after the last; nil when encoding and decoding. They are valid during the call only.
type Step struct {
	Jobs         []Job // of the batch; nil where no files are translated
	Phase        Phase
	Index, Count int
	Latents      []float32
	Shape        [4]int // of the latents
}

// Noise draws normal numbers for one image: dst is [h,w,c].
type Noise func(dst []float32, h, w, c int) error

// Request is a batch to translate.
type Request struct {
	Images   []*imagefile.Image // of one size
	Settings Settings
	Observe  Observer // receives each Step
	// Noise draws each image's noise in the order of the official implementation: the posterior's sample, then one for
	// each step with η > 0 of the inversion, or what replaces its result, then of the translation. nil is a generator
	// for each image, with Settings.Seed.
	Noise []Noise
}

// Result is the translation of one image.
type Result struct {
	Image  *imagefile.Image
	Marker string // of Settings.Marker; "" of a model for one
	// Latents [h,w,C] are the final ones; Start begins the inversion, Standardised the translation; Condition is the H&E's
	// mode.
	Latents, Start, Condition, Standardised []float32
	LatentHeight, LatentWidth               int
}

// Translate translates a batch of images of one size, to each marker of the settings: all images to the first, then all
// to the next, which share what comes before the translation. A stain depends on its image, the settings and the
// device, not on its batch or on other markers. When ctx ends the error wraps ctx's.
func (p *Pipeline) Translate(ctx context.Context, r Request) ([]Result, error) {
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("translate: %w", err)
	}
	var err error
	if r.Settings, _, err = p.Resolve(r.Settings); err != nil {
		return nil, fmt.Errorf("translate: %w", err)
	}
	noise, err := p.schedule(r.Settings)
	if err != nil {
		return nil, fmt.Errorf("translate: %w", err)
	}
	if p.damaged != nil {
		return nil, p.damaged
	}
	if err := p.prepare(len(r.Images), r.Images[0].Height, r.Images[0].Width, r.Settings.inverts()); err != nil {
		err = fmt.Errorf("translate: %w", err)
		if errors.Is(err, ErrNotFinite) { // the weights: don't read them again for the next image
			p.damaged = err
		}
		return nil, err
	}
	t := &translation{Request: r, pipeline: p, programs: p.programs, schedule: noise, noise: r.Noise}
	for len(t.noise) < len(r.Images) {
		generator := rng.NewTorch(r.Settings.Seed)
		t.noise = append(t.noise, func(dst []float32, h, w, c int) error { return generator.RandnNHWC(dst, 1, h, w, c) })
	}
	results, err := t.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("translate: %w", err)
	}
	return results, nil
}

func (r Request) check() error {
	if len(r.Images) == 0 {
		return errors.New("no images")
	}
	first := r.Images[0]
	for _, m := range r.Images {
		if err := m.Check(); err != nil {
			return err
		}
		if m.Width != first.Width || m.Height != first.Height {
			return fmt.Errorf("images of %d×%d and %d×%d pixels in one batch", first.Width, first.Height, m.Width, m.Height)
		}
	}
	if len(r.Noise) > len(r.Images) {
		return fmt.Errorf("noise for %d images, there are %d", len(r.Noise), len(r.Images))
	}
	return r.Settings.Validate()
}

// prepare compiles the networks for a size and for an inversion or none, unless the last ones will do.
func (p *Pipeline) prepare(batch, height, width int, inverts bool) error {
	f := p.model.VAE.Factor()
	z := size{batch, padded(height, f), padded(width, f)}
	if s := p.programs; s != nil && s.size == z && (s.inversion != nil || !inverts) {
		return nil
	}
	// If memory allows, the new ones are compiled before the old ones are freed, as both share packed weights.
	s, err := p.compile(z, inverts)
	if errors.Is(err, vm.ErrMemory) && p.programs != nil {
		if err := p.forget(); err != nil {
			return err
		}
		s, err = p.compile(z, inverts)
	}
	if err != nil {
		return p.tooLarge(err, z, inverts)
	}
	err = p.forget()
	p.programs = s
	return err
}

// tooLarge adds to an error of memory the size of image that would fit.
func (p *Pipeline) tooLarge(err error, z size, inverts bool) error {
	if !errors.Is(err, vm.ErrMemory) {
		return err
	}
	f := p.model.VAE.Factor()
	for side := int(math.Sqrt(float64(z.height*z.width))) / 2 / f * f; side >= 8*f; side = side / 2 / f * f {
		s, smaller := p.compile(size{1, side, side}, inverts)
		if smaller != nil {
			continue
		}
		err = fmt.Errorf("%w; one image of %d×%d pixels would fit: translate it in tiles", err, side, side)
		return errors.Join(err, s.close())
	}
	return err
}

// schedule is the noise schedule of both loops.
func (p *Pipeline) schedule(s Settings) (*schedule.Schedule, error) {
	c, err := p.model.Scheduler.For(s.Prediction)
	if err != nil {
		return nil, err
	}
	return schedule.New(c)
}
