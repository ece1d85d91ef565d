package train

import (
	"context"
	"fmt"
	"path/filepath"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vm"
)

// diffusion trains a U-Net to predict the noise in latents, or their velocity.
//
//	latents, noise, timesteps ─ diffuse ─ + condition ─ U-Net(context) ─ weighted squared error ─ loss
type diffusion struct {
	config   Config
	network  unet.Config
	schedule *schedule.Schedule
}

func newDiffusion(c Config, folder string, s *schedule.Schedule) (*diffusion, error) {
	if s == nil || s.Config.PredictionType != c.Prediction {
		return nil, fmt.Errorf("want a noise schedule for %s", c.Prediction)
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	n, err := unet.ReadConfig(filepath.Join(folder, configFile))
	if err != nil {
		return nil, err
	}
	if n.InChannels != 2*n.OutChannels {
		return nil, fmt.Errorf("%s: in_channels is %d: want %d, the noisy latents and the condition; "+
			"`histdist model widen` makes it from a text-to-image U-Net", folder, n.InChannels, 2*n.OutChannels)
	}
	if n.LowRank, err = c.Adapter.lowRank(n); err != nil {
		return nil, err
	}
	return &diffusion{config: c, network: n, schedule: s}, nil
}

func (f *diffusion) params() (gorgonia.Nodes, error) {
	n, err := unet.Build(f.network, unet.Size{Batch: 1, Height: 1, Width: 1, Tokens: 1})
	if err != nil {
		return nil, err
	}
	return n.Scope.Params(), nil
}

func (f *diffusion) size(e Example, d Draws) (size, error) {
	if err := e.checkLatents(d, f.network.OutChannels, f.network.CrossAttentionDim, f.network.NumClassEmbeds); err != nil {
		return size{}, err
	}
	n, h, w := e.Shape[0], e.Shape[1], e.Shape[2]
	return size{n, h, w, len(e.Context) / n / f.network.CrossAttentionDim}, nil
}

func (f *diffusion) lossGraph(z size, share float64) (*lossGraph, error) {
	n, err := unet.Build(f.network, unet.Size{Batch: z.batch, Height: z.height, Width: z.width, Tokens: z.tokens})
	if err != nil {
		return nil, err
	}
	s := n.Scope
	target := s.Input("target", z.batch, z.height, z.width, f.network.OutChannels)
	weights := s.Input("weights", z.batch)
	l := &lossGraph{scope: s, values: gorgonia.Nodes{op.MSE{}.Apply(s, n.Output, target, weights)}}
	l.feed = func(_ context.Context, e Example, d Draws) (vm.Feeds, error) {
		x, err := f.config.diffuse(f.schedule, e, d)
		if err != nil {
			return nil, err
		}
		timesteps := make([]float32, z.batch)
		for i, t := range d.Timesteps {
			timesteps[i] = float32(t)
			x.weights[i] = float32(float64(x.weights[i]) * share)
		}
		feeds := vm.Feeds{}.Set(n.Sample, x.sample).Set(n.Timesteps, timesteps).Set(n.Context, e.Context).
			Set(target, x.target).Set(weights, x.weights)
		return feeds, f.feedLabels(feeds, n, e.Labels)
	}
	return l, s.Err()
}

// feedLabels feeds a network with class labels, if it takes any.
func (f *diffusion) feedLabels(feeds vm.Feeds, n *unet.Network, labels []int) error {
	classes, err := f.network.OneHot(labels)
	if err == nil && n.Classes != nil {
		feeds.Set(n.Classes, classes)
	}
	return err
}

func (f *diffusion) draw(g *rng.Torch, e Example) (Draws, error) {
	return Draw(g, e.Shape, len(f.schedule.AlphasCumprod))
}

func (f *diffusion) skip(g *rng.Torch, e Example) { skip(g, e.Shape, len(f.schedule.AlphasCumprod)) }

func (f *diffusion) trains(name string) bool {
	return f.network.LowRank.Rank == 0 || lora.IsParameter(name)
}

func (f *diffusion) title(t Task) string { return t.String() }

func (f *diffusion) losses(t Task, values []float64) map[string]float64 {
	return map[string]float64{t.String(): values[0]}
}
