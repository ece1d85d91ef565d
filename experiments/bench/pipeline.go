package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/hostinfo"
	"github.com/histdist/histdist/train"
)

// timePipeline times the translation of one image or a training step of Options.Batch images with Options.Model.
func timePipeline(ctx context.Context, o Options, name string) (r Result, err error) {
	if o.Model == "" {
		return r, errors.New("needs a model: --model FOLDER, which --new-model FOLDER makes")
	}
	m, err := model.Open(o.Model, model.Options{Variant: o.Variant})
	if err != nil {
		return r, err
	}
	defer m.Close()
	before := o.Device.Allocated()
	if name == "translation" {
		r, err = translate(ctx, o, m)
	} else {
		r, err = step(ctx, o, m, name == trainingSparing)
	}
	r.Name, r.Arena, r.PeakRSS = name, r.Arena-before, hostinfo.PeakResident()
	return r, err
}

// timed is the median of runs of f, after warm ones that compile and record.
func timed(o Options, warm int, f func() error) (r Result, err error) {
	run := func() (time.Duration, error) {
		begin := time.Now()
		err := f()
		return time.Since(begin), err
	}
	busy := func() time.Duration { // for how long a GPU has worked
		if g, ok := o.Device.(device.Timer); ok {
			return g.Busy()
		}
		return 0
	}
	begin := time.Now()
	if _, err := repeat(warm, 0, run); err != nil {
		return r, err
	}
	r.Compile = time.Since(begin).Seconds()
	begin, before := time.Now(), busy()
	all, err := repeat(o.Runs, 0, run)
	if err != nil {
		return r, err
	}
	if worked := busy() - before; worked > 0 {
		r.Idle = max(0, 1-worked.Seconds()/time.Since(begin).Seconds())
	}
	r.Seconds, r.Arena = median(all), o.Device.Allocated()
	return r, nil
}

// translate times the translation of one image.
func translate(ctx context.Context, o Options, m *model.Model) (r Result, err error) {
	p := infer.New(m, infer.Options{Device: o.Device, Precision: o.Precision, LowMemory: o.LowMemory})
	defer func() { err = errors.Join(err, p.Close()) }()
	image := imagefile.New(o.Size, o.Size)
	g := rand.New(rand.NewPCG(1, 2))
	for i := range image.Pix {
		image.Pix[i] = uint8(g.IntN(256))
	}
	settings := infer.DefaultSettings()
	settings.StepsInversion, settings.StepsTranslation = o.Steps, o.Steps
	r, err = timed(o, 1, func() error {
		_, err := p.Translate(ctx, infer.Request{Images: []*imagefile.Image{image}, Settings: settings})
		return err
	})
	r.Batch = 1
	return r, err
}

// step times optimisation steps: forward and backward pass, clipping, AdamW.
func step(ctx context.Context, o Options, m *model.Model, recompute bool) (r Result, err error) {
	c := train.Default()
	c.Precision, c.Recompute, c.LowMemory = o.Precision, recompute, o.LowMemory
	noise, err := m.Scheduler.For(c.Prediction)
	if err != nil {
		return r, err
	}
	s, err := schedule.New(noise)
	if err != nil {
		return r, err
	}
	t, err := train.New(c, train.Options{
		Device: o.Device, UNet: filepath.Join(m.Dir, "unet"), Variant: o.Variant, Schedule: s, Profile: o.Profile != nil,
	})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	side, channels, patches := o.Size/m.VAE.Factor(), m.VAE.LatentChannels, m.ViT.ImageSize/m.ViT.PatchSize
	numbers := func(name string, shape ...int) []float32 { return formula.Tensor(0, name, op.Size(shape), 1.7, 0) }
	e := train.Example{
		Shape:     [4]int{o.Batch, side, side, channels},
		Latents:   numbers("latents", o.Batch, side, side, channels),
		Condition: numbers("condition", o.Batch, side, side, channels),
		Context:   numbers("context", o.Batch, patches*patches+1, m.UNet.CrossAttentionDim),
	}
	draws, err := t.Draw(rng.NewTorch(0), e)
	if err != nil {
		return r, err
	}
	r, err = timed(o, 2, func() error {
		if _, err := t.Accumulate(ctx, e, draws); err != nil {
			return err
		}
		_, err := t.Update(ctx)
		return err
	})
	r.Batch, r.Training = o.Batch, true
	if o.Profile != nil {
		for _, report := range t.Reports() {
			o.Profile(report)
		}
	}
	return r, err
}
