package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/hostinfo"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/modelbench"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/train"
)

// The names of what is measured, as modelbench has its own for the networks.
const (
	Translation     = "translation"
	Training        = "training"         // a step that keeps its activations
	TrainingSparing = "training-sparing" // one that computes them again
)

// Names lists what can be measured.
func Names() []string { return []string{Translation, Training, TrainingSparing} }

// Options say what is measured.
type Options struct {
	Device    device.Device
	Precision vm.Precision
	LowMemory bool
	Model     string          // a folder or an id; CreateModel makes one
	Variant   string          // of its weights
	Batch     int             // images of a training step
	Size      int             // of an image's side in pixels: 512
	Steps     int             // of the inversion and of the translation, each: 100
	Runs      int             // timed ones, after one or two that compile and record
	Profile   func(vm.Report) // gets the steps of training's programs, timed one after the other; nil for none
}

// Run measures what is named. Seconds of a result are the median of its runs.
func Run(ctx context.Context, o Options, names []string, tell func(modelbench.Result)) error {
	m, err := model.Open(o.Model, model.Options{Variant: o.Variant})
	if err != nil {
		return err
	}
	defer m.Close()
	for _, name := range names {
		var r modelbench.Result
		switch name {
		case Translation:
			r, err = translate(ctx, o, m)
		case Training, TrainingSparing:
			r, err = step(ctx, o, m, name == TrainingSparing)
		default:
			err = fmt.Errorf("nothing of this name: want one of %q", Names())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.Name, r.PeakRSS = name, hostinfo.PeakResident()
		tell(r)
	}
	return nil
}

// busy is how long a GPU has worked; 0 of other devices.
func busy(d device.Device) time.Duration {
	if g, ok := d.(device.Timer); ok {
		return g.Busy()
	}
	return 0
}

// timed is the median of runs of f, after warm ones.
func timed(d device.Device, r *modelbench.Result, warm, runs int, f func() error) error {
	begin := time.Now()
	for range warm {
		if err := f(); err != nil {
			return err
		}
	}
	r.Compile = time.Since(begin).Seconds()
	var all []float64
	before, sum := busy(d), 0.0
	for range max(1, runs) {
		begin := time.Now()
		if err := f(); err != nil {
			return err
		}
		all = append(all, time.Since(begin).Seconds())
		sum += all[len(all)-1]
	}
	if worked := busy(d) - before; worked > 0 {
		r.Idle = max(0, 1-worked.Seconds()/sum)
	}
	slices.Sort(all)
	r.Seconds = all[len(all)/2]
	return nil
}

// translate times the translation of one image.
func translate(ctx context.Context, o Options, m *model.Model) (r modelbench.Result, err error) {
	before := o.Device.Allocated()
	p := infer.New(m, infer.Options{Device: o.Device, Precision: o.Precision, LowMemory: o.LowMemory})
	defer func() { err = errors.Join(err, p.Close()) }()
	image := &imagefile.Image{Width: o.Size, Height: o.Size, Pix: make([]uint8, 3*o.Size*o.Size)}
	g := rand.New(rand.NewPCG(1, 2))
	for i := range image.Pix {
		image.Pix[i] = uint8(g.IntN(256))
	}
	settings := infer.DefaultSettings()
	settings.StepsInversion, settings.StepsTranslation = o.Steps, o.Steps
	r.Batch = 1
	err = timed(o.Device, &r, 1, o.Runs, func() error {
		_, err := p.Translate(ctx, infer.Request{Images: []*imagefile.Image{image}, Settings: settings})
		return err
	})
	r.Arena = o.Device.Allocated() - before
	return r, err
}

// step times optimisation steps: forward and backward pass, clipping, AdamW.
func step(ctx context.Context, o Options, m *model.Model, recompute bool) (r modelbench.Result, err error) {
	c := train.Default()
	c.Precision, c.Recompute, c.LowMemory = o.Precision.String(), recompute, o.LowMemory
	noise, err := m.Scheduler.For(c.Prediction)
	if err != nil {
		return r, err
	}
	s, err := schedule.New(noise)
	if err != nil {
		return r, err
	}
	before := o.Device.Allocated()
	t, err := train.New(c, train.Options{Device: o.Device, UNet: filepath.Join(m.Dir, "unet"), Variant: o.Variant, Schedule: s, Profile: o.Profile != nil})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	side, channels, tokens := o.Size/m.VAE.Factor(), m.VAE.LatentChannels, (m.ViT.ImageSize/m.ViT.PatchSize)*(m.ViT.ImageSize/m.ViT.PatchSize)+1
	g := rng.NewTorch(0)
	normal := func(n, h, w, c int) []float32 {
		x := make([]float32, n*h*w*c)
		err = errors.Join(err, g.RandnNHWC(x, n, h, w, c))
		return x
	}
	e := train.Example{
		Shape: [4]int{o.Batch, side, side, channels}, Latents: normal(o.Batch, side, side, channels), Condition: normal(o.Batch, side, side, channels),
		Context: normal(o.Batch, tokens, 1, m.UNet.CrossAttentionDim),
	}
	if err != nil {
		return r, err
	}
	draws, err := t.Draw(g, e)
	if err != nil {
		return r, err
	}
	r.Batch, r.Training = o.Batch, true
	err = timed(o.Device, &r, 2, o.Runs, func() error {
		if _, err := t.Accumulate(ctx, e, draws); err != nil {
			return err
		}
		_, err := t.Update(ctx)
		return err
	})
	r.Arena = o.Device.Allocated() - before
	if o.Profile != nil {
		for _, report := range t.Reports() {
			o.Profile(report)
		}
	}
	return r, err
}
