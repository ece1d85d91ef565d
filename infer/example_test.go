package infer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/synth"
)

// translate makes the virtual stain of one image. folder is a model as diffusers saves it.
func translate(ctx context.Context, folder string, he *imagefile.Image) (_ *imagefile.Image, err error) {
	d, err := catalog.Open("auto", 0) // the fastest device of the processor, on every core
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	// Everything that is wrong with the folder is one error.
	p, err := infer.Open(folder, model.Options{}, infer.Options{Device: d})
	if err != nil {
		return nil, err
	}
	// Keep it for many images: networks are compiled when the size changes.
	defer func() { err = errors.Join(err, p.Close()) }()

	settings := infer.DefaultSettings() // the paper's: 100 + 100 steps
	settings.StepsInversion, settings.StepsTranslation, settings.Seed = 10, 10, 7
	results, err := p.Translate(ctx, infer.Request{Images: []*imagefile.Image{he}, Settings: settings})
	if err != nil {
		return nil, err
	}
	return results[0].Image, nil
}

// Example translates a piece of synthetic tissue with the demonstration's model.
func Example() {
	ctx := context.Background()
	temp, err := os.MkdirTemp("", "histdist")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		if err := os.RemoveAll(temp); err != nil {
			fmt.Println(err)
		}
	}()
	folder := filepath.Join(temp, "model")
	if err := demo.Extract(folder); err != nil { // the model in the binary
		fmt.Println(err)
		return
	}
	c := synth.Default()
	c.Size = 64
	pair, err := synth.Generate(ctx, c, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	virtual, err := translate(ctx, folder, pair.HE)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(virtual.Width, virtual.Height)
	// Output: 64 64
}
