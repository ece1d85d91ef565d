package model

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/weights"
)

const unetClass = "UNet2DConditionModel"

// Widen copies a pipeline's or a U-Net's folder with more input channels of the U-Net, such as 8 instead of Stable
// Diffusion's 4: see unet.Widen. dst must not exist; it appears when it is complete.
func Widen(ctx context.Context, name, dst string, channels int, o ConvertOptions) error {
	if err := hasUNet(name); err != nil {
		return err
	}
	return rewrite(ctx, name, dst, o, &edit{
		class: unetClass,
		tensor: func(name string, values []float32, shape []int) ([]float32, []int, error) {
			if name != "conv_in.weight" {
				return values, shape, nil
			}
			return unet.Widen(values, shape, channels)
		},
		folder: func(folder string) error {
			return editJSON(filepath.Join(folder, "config.json"), map[string]any{"in_channels": channels})
		},
	})
}

// hasUNet returns an error unless a folder is a U-Net's or a pipeline's that has one.
func hasUNet(name string) error {
	dir, err := Find(name)
	if err != nil {
		return err
	}
	p, err := weights.ReadPipeline(dir)
	if err == nil {
		dir, err = p.Folder("unet")
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	k, err := kindOf(dir)
	if err == nil && k.class != unetClass {
		err = fmt.Errorf("%s: a network of class %s: want %s", dir, k.class, unetClass)
	}
	return err
}
