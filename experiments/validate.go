package experiments

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/train"
)

// validation returns what a run does every train.validate-every steps: the loss on fixed pairs with fixed noise, and
// translations of some of them, or reconstructions by an autoencoder, with the current weights or their moving average.
func (e *Experiment) validation(ctx context.Context, observe progress.Observer) (
	func(context.Context, *train.Trainer, int) ([]train.Scalar, error), error,
) {
	v := e.Config.Validation
	n := max(v.Pairs, v.Translations)
	if n == 0 {
		return nil, nil
	}
	pairs, err := e.fixed(ctx, n)
	if err != nil {
		return nil, err
	}
	losses, err := e.validationLosses(ctx, pairs[:min(v.Pairs, len(pairs))])
	if err != nil {
		return nil, err
	}
	translate := pairs[:min(v.Translations, len(pairs))]
	return func(ctx context.Context, t *train.Trainer, step int) ([]train.Scalar, error) {
		scores, err := losses(ctx, t, step)
		if err != nil {
			return nil, err
		}
		if len(translate) == 0 {
			return scores, nil
		}
		show := e.translate
		if e.Config.Train.Objective == train.Autoencoder {
			show = e.reconstruct
		}
		more, err := show(ctx, t, step, translate, observe)
		return append(scores, more...), err
	}, nil
}

// validationLosses makes the losses of pairs: see train.FixedNoise. Of several markers they are the means over the
// pairs of all, and with names such as validation/loss_her2 those of each.
func (e *Experiment) validationLosses(ctx context.Context, pairs []*data.Batch) (
	func(context.Context, *train.Trainer, int) ([]train.Scalar, error), error,
) {
	type group struct {
		marker string
		part   float64 // of the pairs
		losses func(context.Context, *train.Trainer, int) ([]train.Scalar, error)
	}
	var groups []group
	for len(pairs) > 0 {
		marker, all := pairs[0].Markers[0], len(pairs)
		other := func(b *data.Batch) bool { return b.Markers[0] != marker }
		examples, err := e.fixedExamples(ctx, slices.DeleteFunc(slices.Clone(pairs), other))
		if err != nil {
			return nil, err
		}
		pairs = slices.DeleteFunc(slices.Clone(pairs), func(b *data.Batch) bool { return !other(b) })
		groups = append(groups, group{
			marker, float64(all - len(pairs)), train.FixedNoise(examples, e.Config.Validation.Seed),
		})
	}
	return func(ctx context.Context, t *train.Trainer, step int) (mean []train.Scalar, err error) {
		var own []train.Scalar
		total := 0.0
		for _, g := range groups {
			losses, err := g.losses(ctx, t, step)
			if err != nil || len(groups) == 1 {
				return losses, err
			}
			if mean == nil {
				mean = make([]train.Scalar, len(losses))
			}
			total += g.part
			for i, l := range losses {
				mean[i] = train.Scalar{Name: l.Name, Value: mean[i].Value + g.part*l.Value}
				own = append(own, train.Scalar{Name: l.Name + "_" + strings.ToLower(g.marker), Value: l.Value})
			}
		}
		for i := range mean {
			mean[i].Value /= total
		}
		return append(mean, own...), nil
	}, nil
}

// fixedExamples encodes pairs for both tasks.
func (e *Experiment) fixedExamples(ctx context.Context, pairs []*data.Batch) ([]train.Example, error) {
	g := rng.NewTorch(e.Config.Validation.Seed)
	var list []train.Example
	for _, b := range pairs {
		if e.frozen == nil {
			x, err := train.ImagesOf(pairsOf(b, e.labelsOf))
			if err != nil {
				return nil, err
			}
			list = append(list, x)
			continue
		}
		for _, task := range e.Config.Train.Objective.Tasks() {
			x, err := e.frozen.Encode(ctx, pairsOf(b, e.labelsOf), task, g)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.Names[0], err)
			}
			list = append(list, x)
		}
	}
	return list, nil
}

// translate makes panels of H&E, translation and true stain, and their mean SSIM and PSNR.
func (e *Experiment) translate(
	ctx context.Context, t *train.Trainer, step int, pairs []*data.Batch, observe progress.Observer,
) (_ []train.Scalar, err error) {
	m := *e.model
	m.UNet.LowRank = t.LowRank()
	// Compiled each time for the new weights: seconds, against minutes of sampling.
	p := infer.New(&m, infer.Options{
		Device: e.device.Device, Precision: e.Config.Train.Precision, LowMemory: true,
		UNet: func(params gorgonia.Nodes) error { return t.Bind(params, e.shown()) },
	})
	defer func() { err = errors.Join(err, p.Close()) }()
	mean := likeness{pairs: len(pairs)}
	for _, b := range pairs {
		he, ihc := picture(b.HEPixels, b), picture(b.IHCPixels, b)
		settings, name := e.sampler, b.Names[0]
		if marker := b.Markers[0]; marker != "" {
			settings.Marker = infer.Markers{marker}
			name += infer.MarkerSuffix(marker)
		}
		results, err := p.Translate(ctx, infer.Request{Images: []*imagefile.Image{he}, Settings: settings})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Names[0], err)
		}
		stain := results[0].Image
		if err := mean.add(stain, ihc); err != nil {
			return nil, err
		}
		if err := e.show(step, name, infer.Panel(he, stain, ihc), observe); err != nil {
			return nil, err
		}
	}
	return mean.scores(), nil
}

// reconstruct makes panels of H&E and IHC, each with its reconstruction, and their mean SSIM and PSNR.
func (e *Experiment) reconstruct(
	ctx context.Context, t *train.Trainer, step int, pairs []*data.Batch, observe progress.Observer,
) ([]train.Scalar, error) {
	mean := likeness{pairs: 2 * len(pairs)}
	for _, b := range pairs {
		x, err := train.ImagesOf(pairsOf(b, e.labelsOf))
		if err != nil {
			return nil, err
		}
		values, err := t.Reconstruct(ctx, x, e.shown())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Names[0], err)
		}
		var panel []*imagefile.Image
		for i, pix := range [][]uint8{b.HEPixels, b.IHCPixels} {
			real, made := picture(pix, b), infer.FromValues(values[i*len(pix):(i+1)*len(pix)], b.Width, b.Height)
			if err := mean.add(made, real); err != nil {
				return nil, err
			}
			panel = append(panel, real, made)
		}
		if err := e.show(step, b.Names[0], infer.Panel(panel...), observe); err != nil {
			return nil, err
		}
	}
	return mean.scores(), nil
}

// shown returns the weights to make images with.
func (e *Experiment) shown() train.Slot {
	if e.Config.Train.EMA {
		return train.Averages
	}
	return train.Parameters
}

// likeness is the mean SSIM and PSNR of images against the true ones.
type likeness struct {
	pairs      int
	ssim, psnr float64
}

func (l *likeness) add(made, real *imagefile.Image) error {
	s, err := metrics.SSIM(made, real)
	if err != nil {
		return err
	}
	p, err := metrics.PSNR(made, real)
	if err != nil {
		return err
	}
	l.ssim, l.psnr = l.ssim+s/float64(l.pairs), l.psnr+p/float64(l.pairs)
	return nil
}

func (l *likeness) scores() []train.Scalar {
	return []train.Scalar{{Name: "validation/ssim", Value: l.ssim}, {Name: "validation/psnr", Value: l.psnr}}
}

// show writes a panel into the run's folder and reports it.
func (e *Experiment) show(step int, name string, panel *imagefile.Image, observe progress.Observer) error {
	path := filepath.Join(e.Config.Run.Output, validationFolder, fmt.Sprintf("step-%d", step), filepath.Base(name)+".png")
	if err := writePanel(path, panel); err != nil {
		return err
	}
	return observe.Report(train.Panel{Step: step, Name: "validation/" + name, Image: rgba(panel)})
}

// picture is the only image of a batch.
func picture(pix []uint8, b *data.Batch) *imagefile.Image {
	return &imagefile.Image{Width: b.Width, Height: b.Height, Pix: pix}
}

// rgba converts an image to the standard library's.
func rgba(m *imagefile.Image) image.Image {
	out := image.NewRGBA(image.Rect(0, 0, m.Width, m.Height))
	for i := range m.Width * m.Height {
		copy(out.Pix[4*i:], m.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}

func writePanel(path string, panel *imagefile.Image) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return imagefile.Write(path, panel, imagefile.WriteOptions{Provenance: []imagefile.Pair{
		{Key: imagefile.KeyDescription, Value: infer.DefaultDescription},
		{Key: imagefile.KeyKind, Value: string(imagefile.Panel)},
	}})
}
