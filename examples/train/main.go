// Command train fine-tunes a model's U-Net on pairs of images, and exports the result as another model.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/train"
)

func main() {
	folder := flag.String("model", "", "folder of the model to begin with")
	pairs := flag.String("pairs", "", "folder of image pairs in MIST's layout")
	output := flag.String("output", "", "folder for checkpoints, and for the new model in its folder model")
	steps := flag.Int("steps", 100, "steps of the optimiser")
	flag.Parse()
	// After Ctrl-C a checkpoint is written.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *folder, *pairs, *output, *steps); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, folder, pairs, output string, steps int) (err error) {
	set, err := data.Open(ctx, data.Location{Root: pairs, Layout: data.MIST, Split: "train"}, data.CorruptError)
	if err != nil {
		return err
	}
	loader, err := data.NewLoader(set, data.LoaderOptions{BatchSize: 2, Crop: 64, Augment: true, Shuffle: true})
	if err != nil {
		return err
	}
	m, err := model.Open(folder, model.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := catalog.Open("auto", 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()

	c := train.Default() // the paper's
	c.MaxSteps, c.Accumulate, c.Warmup = steps, 2, 0
	noise, err := m.Scheduler.For(c.Prediction)
	if err != nil {
		return err
	}
	s, err := schedule.New(noise)
	if err != nil {
		return err
	}
	t, err := train.New(c, train.Options{Device: d, UNet: filepath.Join(m.Dir, "unet"), Schedule: s})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	// The networks that aren't trained turn images into what the U-Net sees.
	frozen, err := train.NewFrozen(ctx, m, train.FrozenOptions{
		Options: vm.Options{Device: d}, Prompt: model.DefaultPrompt,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, frozen.Close()) }()

	result, err := train.Run(ctx, t, train.RunOptions{
		Folder: output, Examples: frozen.Over(batches{loader}), Version: "examples/train",
		Observe: func(event any) error {
			if m, ok := event.(train.Metrics); ok {
				fmt.Println(m)
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	exported := filepath.Join(output, "model")
	fmt.Println(exported)
	return train.Export(ctx, result.Checkpoint, m.Dir, exported, train.ExportOptions{Purpose: m.Purpose})
}

// batches is a train.BatchSource of a loader's batches.
type batches struct{ loader *data.Loader }

// Len is the number of batches in an epoch.
func (b batches) Len() int { return b.loader.Steps() }

// Batch returns that of a position.
func (b batches) Batch(ctx context.Context, at train.Position) (train.Batch, error) {
	p, err := b.loader.Batch(ctx, at.Epoch*b.loader.Steps()+at.Index)
	if err != nil {
		return train.Batch{}, err
	}
	return train.Batch{
		N: p.N, Height: p.Height, Width: p.Width, HE: p.HEPixels, IHC: p.IHCPixels, Names: p.Names,
	}, nil
}
