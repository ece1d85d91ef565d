package experiments

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/train"
)

// validation makes what a run does every train.validate-every steps: the loss on fixed pairs with fixed noise, and translations of
// some of them by the sampler of `histdist translate`, with the weights of that moment or their moving average.
func (e *Experiment) validation(ctx context.Context, sink train.Sink) (func(context.Context, *train.Trainer, int) ([]train.Scalar, error), error) {
	v := e.Config.Validation
	n := max(v.Pairs, v.Translations)
	if n == 0 {
		return nil, nil
	}
	pairs, err := e.fixed(ctx, n)
	if err != nil {
		return nil, err
	}
	examples, err := e.fixedExamples(ctx, pairs[:min(v.Pairs, len(pairs))])
	if err != nil {
		return nil, err
	}
	translate := pairs[:min(v.Translations, len(pairs))]
	return func(ctx context.Context, t *train.Trainer, step int) ([]train.Scalar, error) {
		var scores []train.Scalar
		if len(examples) > 0 {
			losses, err := train.FixedNoise(examples, v.Seed)(ctx, t, step)
			if err != nil {
				return nil, err
			}
			scores = losses
		}
		if len(translate) == 0 || e.Config.Train.Objective != train.Diffusion {
			return scores, nil
		}
		more, err := e.translate(ctx, t, step, translate, sink)
		return append(scores, more...), err
	}, nil
}

// fixedExamples encodes pairs for both tasks.
func (e *Experiment) fixedExamples(ctx context.Context, pairs []*data.Batch) ([]train.Example, error) {
	g := rng.NewTorch(e.Config.Validation.Seed)
	var list []train.Example
	for _, b := range pairs {
		if e.frozen == nil {
			x, err := train.ImagesOf(pairsOf(b))
			if err != nil {
				return nil, err
			}
			list = append(list, x)
			continue
		}
		for _, task := range []train.Task{train.Generation, train.Translation} {
			x, err := e.frozen.Encode(ctx, pairsOf(b), task, g)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.Names[0], err)
			}
			list = append(list, x)
		}
	}
	return list, nil
}

// translate makes panels of H&E, translation and true stain, and their mean SSIM and PSNR.
func (e *Experiment) translate(ctx context.Context, t *train.Trainer, step int, pairs []*data.Batch, sink train.Sink) (_ []train.Scalar, err error) {
	part := train.Parameters
	if e.Config.Train.EMA {
		part = train.Averages
	}
	precision, err := vm.ParsePrecision(e.Config.Train.Precision)
	if err != nil {
		return nil, err
	}
	// Compiled anew each time, for the weights are others: seconds, against minutes of sampling.
	p := infer.New(e.model, infer.Options{
		Device: e.device, Precision: precision, LowMemory: true,
		UNet: func(params gorgonia.Nodes) error { return t.Bind(params, part) },
	})
	defer func() { err = errors.Join(err, p.Close()) }()
	var ssim, psnr float64
	for _, b := range pairs {
		he, ihc := picture(b.HEPixels, b), picture(b.IHCPixels, b)
		results, err := p.Translate(ctx, infer.Request{Images: []*imagefile.Image{he}, Settings: e.Config.Sampler()})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Names[0], err)
		}
		stain := results[0].Picture
		s, err := metrics.SSIM(stain, ihc)
		if err != nil {
			return nil, err
		}
		r, err := metrics.PSNR(stain, ihc)
		if err != nil {
			return nil, err
		}
		ssim, psnr = ssim+s/float64(len(pairs)), psnr+r/float64(len(pairs))
		panel := infer.Panel(he, stain, ihc)
		path := filepath.Join(e.Config.Run.Output, validationFolder, fmt.Sprintf("step-%d", step), filepath.Base(b.Names[0])+".png")
		if err := writePanel(path, panel); err != nil {
			return nil, err
		}
		if err := sink.Image(step, "validation/"+b.Names[0], rgba(panel)); err != nil {
			return nil, err
		}
	}
	return []train.Scalar{{Name: "validation/ssim", Value: ssim}, {Name: "validation/psnr", Value: psnr}}, nil
}

// picture is the only image of a batch.
func picture(pix []uint8, b *data.Batch) *imagefile.Image {
	return &imagefile.Image{Width: b.Width, Height: b.Height, Pix: pix}
}

// rgba is an image as the standard library has them.
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
		{Key: imagefile.KeyDescription, Value: infer.DefaultDescription}, {Key: imagefile.KeyKind, Value: string(imagefile.Panel)},
	}})
}
