package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/finite"
)

// MeasureLatents computes the mean and the standard deviation of each channel of the latents that a checkpoint's autoencoder, or with
// average its moving average, draws for the images of a source's first epoch, as many micro-steps as are asked for or as there are.
// The noise of the latents counts with its variance; none is drawn.
func MeasureLatents(ctx context.Context, checkpointDir string, average bool, d device.Device, s PairSource, microSteps int,
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
	e, err := openEncoder(network, d)
	if err != nil {
		return none, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	sums := newLatentSums(e.config.LatentChannels)
	for i := range min(microSteps, s.Len()) {
		x, err := Images(s).Example(ctx, Position{Index: i}, Generation, nil)
		if err != nil {
			return none, err
		}
		size := vae.Size{Batch: x.Shape[0], Height: x.Shape[1], Width: x.Shape[2]}
		moments, err := e.encode(ctx, size, x.Images)
		if err != nil {
			return none, err
		}
		mean, _, deviation := vae.Moments(moments, e.config.LatentChannels)
		sums.add(mean, deviation)
	}
	return sums.statistics()
}

// encoder is an autoencoder's encoder as a program, compiled anew when the size of the images changes.
type encoder struct {
	config  vae.Config
	device  device.Device
	store   *weights.Store
	size    vae.Size
	image   *gorgonia.Node
	program *vm.Program
}

func openEncoder(folder string, d device.Device) (*encoder, error) {
	c, err := vae.ReadConfig(filepath.Join(folder, configFile))
	if err != nil {
		return nil, err
	}
	s, err := weights.Open(folder, weights.Options{})
	if err != nil {
		return nil, err
	}
	return &encoder{config: c, device: d, store: s}, nil
}

func (e *encoder) close() error {
	var err error
	if e.program != nil {
		err = e.program.Close()
	}
	return errors.Join(err, e.store.Close())
}

// encode gives moments [N,h,w,2C] of images [N,H,W,3].
func (e *encoder) encode(ctx context.Context, size vae.Size, images []float32) ([]float32, error) {
	if e.program == nil || e.size != size {
		if e.program != nil {
			if err := e.program.Close(); err != nil {
				return nil, err
			}
			e.program = nil
		}
		n, err := vae.NewEncoder(e.config, size)
		if err != nil {
			return nil, err
		}
		if err := e.store.Bind(n.Scope.Params(), weights.Mapping{Ignore: vae.IsDecoder}); err != nil {
			return nil, err
		}
		if e.program, err = vm.Compile(gorgonia.Nodes{n.Moments}, vm.Options{Device: e.device}); err != nil {
			return nil, err
		}
		e.size, e.image = size, n.Image
	}
	out, err := e.program.Run(ctx, vm.Feeds{e.image: dense(images, e.image.Shape()...)})
	if err != nil {
		return nil, err
	}
	return out[0].Float32s(), finite.Check("moments", out[0].Float32s(), finite.Squares)
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
