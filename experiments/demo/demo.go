package demo

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/synth"
)

//go:embed model architecture
var files embed.FS

// Model is the folder of the trained model.
func Model() fs.FS { return sub("model") }

func sub(name string) fs.FS {
	folder, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // the name is valid
	}
	return folder
}

// unseen is the seed of tissue of patients and stains that the model was not trained on.
const unseen = 20260

// piece is the number of the piece of tissue shown, of a tumour with positive and negative nuclei.
const piece = 8

// Steps is the number of steps that the small model needs, each way.
const Steps = 50

// open opens the model in a folder, and returns the sampler's settings.
func (o Options) open(folder string) (*infer.Pipeline, infer.Settings, error) {
	sampling, unet, err := settings(folder, o.Preset, cmp.Or(o.Steps, Steps))
	if err != nil {
		return nil, sampling, err
	}
	p, err := infer.Open(folder, model.Options{UNet: unet}, infer.Options{Device: o.Device})
	return p, sampling, err
}

// settings returns those of a preset of the model and its U-Net's folder, or the paper's except for the steps.
func settings(folder, preset string, steps int) (_ infer.Settings, unet string, _ error) {
	s := infer.DefaultSettings()
	if preset == "" {
		s.StepsInversion, s.StepsTranslation = steps, steps
		return s, "", nil
	}
	p, err := model.ReadPurpose(folder)
	if err != nil {
		return s, "", err
	}
	own, err := p.Preset(preset)
	s.Sampling = own.Sampling
	return s, own.UNet, err
}

// Options say how a demonstration runs.
type Options struct {
	Device  device.Device
	Preset  string            // see model.Purpose.Preset; "": the paper's but for the steps
	Steps   int               // 0: Steps
	Program string            // with its version, for the provenance of a slide
	Observe progress.Observer // see infer.FileOptions
}

// Result has the files that a demonstration made.
type Result struct {
	HE, Virtual, True, Panel string  // images
	Nuclei                   string  // what each nucleus is, as JSON
	Model                    string  // the model's folder, extracted from the binary
	VirtualBrown, TrueBrown  float64 // fraction of pixels that are brown
}

// Run makes a piece of unseen synthetic tissue, translates it, and shows the result next to the true stain. It replaces
// what an earlier call left in the folder.
func Run(ctx context.Context, folder string, o Options) (_ Result, err error) {
	in := func(name string) string { return filepath.Join(folder, name) }
	r := Result{
		HE: in("he.png"), Virtual: in("virtual-er.png"), True: in("true-er.png"),
		Nuclei: in("nuclei.json"), Model: in("model"),
	}
	r.Panel = infer.PanelName(r.Virtual)
	if err := Extract(r.Model); err != nil {
		return r, err
	}
	c := synth.Default()
	c.Seed, c.Size = unseen, 256
	pair, err := synth.Generate(ctx, c, piece)
	if err != nil {
		return r, err
	}
	truth, err := json.MarshalIndent(pair.Truth, "", "  ")
	if err != nil {
		return r, err
	}
	if err := errors.Join(imagefile.Write(r.HE, pair.HE, imagefile.WriteOptions{}),
		imagefile.Write(r.True, pair.IHC, imagefile.WriteOptions{}),
		atomicfile.Write(r.Nuclei, append(truth, '\n'))); err != nil {
		return r, err
	}
	p, sampler, err := o.open(r.Model)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	job := infer.Job{Input: r.HE, Output: r.Virtual, Reference: r.True}
	summary, err := p.TranslateFiles(ctx, &infer.Jobs{List: []infer.Job{job}}, infer.FileOptions{
		Settings: sampler, Preset: o.Preset, Batch: 1, Panel: true, Overwrite: true, Observe: o.Observe,
		Description: "virtual stain of synthetic tissue, a demonstration",
	})
	if err != nil {
		return r, err
	}
	if len(summary.Failed) > 0 {
		return r, fmt.Errorf("%s: %s", summary.Failed[0].Input, summary.Failed[0].Error)
	}
	virtual, err := imagefile.Read(r.Virtual, imagefile.Options{})
	if err != nil {
		return r, err
	}
	if r.TrueBrown, err = brown(pair.IHC); err != nil {
		return r, err
	}
	r.VirtualBrown, err = brown(virtual)
	return r, err
}

// Extract writes the built-in model to a folder, which appears when it is complete. It replaces the model of another
// version, which has the same files; any other content is an error.
func Extract(folder string) error {
	if _, err := os.Stat(folder); err == nil {
		there, err := origin.HashFS(os.DirFS(folder))
		if err != nil {
			return err
		}
		ours, err := origin.HashFS(Model())
		if err != nil {
			return err
		}
		if maps.Equal(there, ours) {
			return nil
		}
		if !slices.Equal(slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(ours))) {
			return fmt.Errorf("%s exists, but is not the demonstration's model: remove it, or name another", folder)
		}
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	return atomicfile.Folder(folder, func(dir string) error { return os.CopyFS(dir, Model()) })
}

// brown is the fraction of positive pixels.
func brown(m *imagefile.Image) (float64, error) {
	s, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		return 0, err
	}
	i, err := stain.Measure(m, s, stain.DAB, stain.PositiveDAB)
	return i.PositiveFraction, err
}
