// Command translate makes the virtual stains of an image, or of the images in a folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
)

func main() {
	folder := flag.String("model", "", "folder of a model, as diffusers saves it")
	input := flag.String("input", "", "H&E image, or a folder of them")
	output := flag.String("output", "", "virtual stain to write, or a folder for them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := translate(ctx, *folder, *input, *output); err != nil {
		log.Fatal(err)
	}
}

func translate(ctx context.Context, folder, input, output string) (err error) {
	jobs, err := infer.FindJobs(ctx, infer.JobOptions{Input: input, Output: output, Ending: ".png"})
	if err != nil {
		return err
	}
	// How the stain is sampled, and with which of the model's U-Nets.
	purpose, err := model.ReadPurpose(folder)
	if err != nil {
		return err
	}
	preset, err := purpose.Preset(model.PresetBalanced)
	if err != nil {
		return err
	}
	settings := infer.DefaultSettings()
	settings.Sampling = preset.Sampling

	d, err := catalog.Open("auto", 0) // the fastest device of the processor, on every core
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	p, err := infer.Open(folder, model.Options{UNet: preset.UNet}, infer.Options{Device: d})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	summary, err := p.TranslateFiles(ctx, jobs, infer.FileOptions{
		Settings: settings, Preset: model.PresetBalanced, Batch: 1, Overwrite: true, Program: "examples/translate",
		Observe: func(event any) error {
			if done, ok := event.(infer.Done); ok && done.Err == nil {
				fmt.Println(done.Output)
			}
			return nil
		},
	})
	return errors.Join(err, summary.Err())
}
