package mosaic

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/infer"
)

// Speed is how long the networks take for one window on a device.
type Speed struct {
	Call   time.Duration // of the U-Net
	Encode time.Duration // of the autoencoder's encoder and the vision transformer
	Decode time.Duration
}

// Time is how long the networks of a plan take.
func (s Speed) Time(p Plan) time.Duration {
	return time.Duration(p.Calls+p.Preview)*s.Call + time.Duration(p.Encodes)*s.Encode + time.Duration(p.Decodes)*s.Decode
}

// Measure times the networks with windows of a file.
func Measure(ctx context.Context, p *infer.Pipeline, o FileOptions) (s Speed, err error) {
	in, err := o.open(p)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	v, err := Request{Source: in, Sampling: o.Sampling, Settings: o.Settings, Batch: o.Batch}.prepare(modelOf(p))
	if err != nil {
		return s, err
	}
	w, err := v.windows(ctx, p)
	if err != nil {
		return s, err
	}
	latents := make([]float32, v.Batch*w.LatentHeight*w.LatentWidth*w.Channels)
	tokens := make([]float32, v.Batch*w.TokenValues)
	blank := imagefile.New(w.Width, w.Height)
	images := slices.Repeat([]*imagefile.Image{blank}, v.Batch)
	const calls = 3
	for _, m := range []struct {
		result *time.Duration
		times  int
		run    func() error
	}{
		{&s.Call, calls, func() error {
			_, err := w.Denoise(ctx, 500, v.Batch, latents, latents, tokens)
			return err
		}},
		{&s.Encode, 1, func() error {
			_, err := w.Encode(ctx, images)
			if err == nil {
				_, err = w.Tokens(ctx, images)
			}
			return err
		}},
		{&s.Decode, 1, func() error {
			_, err := w.Decode(ctx, v.Batch, latents)
			return err
		}},
	} {
		if err := m.run(); err != nil { // warm
			return s, err
		}
		begin := time.Now()
		for range m.times {
			if err := m.run(); err != nil {
				return s, err
			}
		}
		*m.result = time.Since(begin) / time.Duration(m.times*v.Batch)
	}
	return s, nil
}
