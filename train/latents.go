package train

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/model/encoders"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
)

// MeasureLatents computes mean and standard deviation of each latent channel of a checkpoint's autoencoder, or its
// moving average, over at most so many micro-steps of a source's first epoch. The latents' noise counts with its
// variance; none is drawn.
func MeasureLatents(
	ctx context.Context, checkpointDir string, average bool, d device.Device, s BatchSource, microSteps int,
) (_ model.LatentStatistics, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("latents of %s: %w", checkpointDir, err)
		}
	}()
	none := model.LatentStatistics{}
	network, c, err := checkpointNetwork(checkpointDir, average)
	if err != nil {
		return none, err
	}
	if c.Config.Objective != Autoencoder {
		return none, fmt.Errorf("a checkpoint of a %s: want one of an %s", c.Config.Objective, Autoencoder)
	}
	m, err := model.OpenAutoencoder(network)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	channels := m.VAE.LatentChannels
	sums := newLatentSums(channels)
	var size vae.Size
	var e *encoders.Network
	defer func() {
		if e != nil {
			err = errors.Join(e.Close(), err)
		}
	}()
	for i := range min(microSteps, s.Len()) {
		x, err := Images(s).Example(ctx, Position{Index: i}, Generation, nil)
		if err != nil {
			return none, err
		}
		if z := (vae.Size{Batch: x.Shape[0], Height: x.Shape[1], Width: x.Shape[2]}); e == nil || z != size {
			if e != nil {
				if err := e.Close(); err != nil {
					return none, err
				}
			}
			if e, err = encoders.VAEEncoder(m, z, vm.Options{Device: d}); err != nil {
				return none, err
			}
			size = z
		}
		moments, err := encode(ctx, e, x.Images)
		if err != nil {
			return none, err
		}
		mean, _, deviation := vae.Moments(moments, channels)
		sums.add(mean, deviation)
	}
	return sums.statistics()
}

// latentSums adds up latents by channel.
type latentSums struct {
	n             float64
	first, second []float64 // of values and of their squares
}

func newLatentSums(channels int) *latentSums {
	return &latentSums{first: make([]float64, channels), second: make([]float64, channels)}
}

// add adds latents [...,C] of these means and standard deviations.
func (l *latentSums) add(mean, deviation []float32) {
	c := len(l.first)
	for i, m := range mean {
		l.first[i%c] += float64(m)
		l.second[i%c] += float64(m)*float64(m) + float64(deviation[i])*float64(deviation[i])
	}
	l.n += float64(len(mean) / c)
}

func (l *latentSums) statistics() (model.LatentStatistics, error) {
	var s model.LatentStatistics
	if l.n == 0 {
		return s, errors.New("no images")
	}
	for i, sum := range l.first {
		mean := sum / l.n
		s.Mean = append(s.Mean, mean)
		s.Deviation = append(s.Deviation, math.Sqrt(l.second[i]/l.n-mean*mean))
	}
	return s, nil
}
