package mosaic

import (
	"context"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
)

// coarseStandIn are networks of no weight with the sizes of Stable Diffusion's: a latent for 8×8 pixels, windows of 512
// pixels, 197 tokens of 768 values. A latent is the colour of a pixel, and so are the 64 that are decoded from it.
type coarseStandIn struct{ h, w int }

const (
	coarseFactor = 8
	coarseTokens = 197 * 768
)

func (coarseStandIn) Encode(_ context.Context, images []*imagefile.Image) (moments []float32, err error) {
	for _, m := range images {
		for y := 0; y < m.Height; y += coarseFactor {
			for x := 0; x < m.Width; x += coarseFactor {
				p := m.Pix[(y*m.Width+x)*3:]
				moments = append(moments, float32(p[0])/255, float32(p[1])/255, float32(p[2])/255, 0, -4, -4, -4, -4)
			}
		}
	}
	return moments, nil
}

func (coarseStandIn) Tokens(_ context.Context, images []*imagefile.Image) ([]float32, error) {
	return make([]float32, len(images)*coarseTokens), nil
}

func (coarseStandIn) Denoise(_ context.Context, _, _ int, latents, _, _ []float32) ([]float32, error) {
	return append([]float32(nil), latents...), nil
}

func (s coarseStandIn) Decode(_ context.Context, n int, latents []float32) ([]float32, error) {
	values := make([]float32, 0, n*s.h*s.w*coarseFactor*coarseFactor*3)
	for row := range n * s.h {
		for range coarseFactor {
			for x := range s.w {
				p := latents[(row*s.w+x)*4:]
				for range coarseFactor {
					values = append(values, p[0]/4, p[1]/4, p[2]/4)
				}
			}
		}
	}
	return values, nil
}

// standInSampler is a sampler with networks in place of a model's.
func standInSampler(t testing.TB, n networks, s infer.Settings) *sampler {
	t.Helper()
	config := schedule.DefaultConfig()
	config.PredictionType, config.TimestepSpacing = schedule.VPrediction, schedule.Trailing
	config.RescaleBetasZeroSNR, config.ClipSample = true, false
	noise, err := schedule.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w := &sampler{networks: n, settings: s, schedule: noise, channels: 4, scale: 0.18215}
	if w.inversion.Sampler, w.inversion.Steps, err = s.SolverInversion.Inversion(noise, s.StepsInversion); err != nil {
		t.Fatal(err)
	}
	if w.translation.Sampler, w.translation.Steps, err = s.Solver.Translation(noise, s.StepsTranslation); err != nil {
		t.Fatal(err)
	}
	return w
}
