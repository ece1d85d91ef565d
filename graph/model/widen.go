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
	return Extend(ctx, name, dst, Extension{Channels: channels}, o)
}

// Extension says what inputs a U-Net gets; 0 leaves one as it is.
type Extension struct {
	Channels int // in_channels: see unet.Widen
	Classes  int // num_class_embeds: see unet.WidenClasses
}

// Extend copies a pipeline's or a U-Net's folder with further inputs of the U-Net, to which its output is blind until
// it is trained. dst must not exist; it appears when it is complete.
func Extend(ctx context.Context, name, dst string, to Extension, o ConvertOptions) error {
	if err := hasUNet(name); err != nil {
		return err
	}
	return rewrite(ctx, name, dst, o, &edit{
		class: unetClass,
		tensor: func(name string, values []float32, shape []int) ([]float32, []int, error) {
			switch {
			case name == "conv_in.weight" && to.Channels > 0:
				return unet.Widen(values, shape, to.Channels)
			case name == unet.ClassTable && to.Classes > 0:
				return unet.WidenClasses(values, shape, to.Classes)
			}
			return values, shape, nil
		},
		missing: func(folder string) ([]weights.Tensor, error) {
			c, err := unet.ReadConfig(filepath.Join(folder, "config.json"))
			if err != nil || to.Classes == 0 || c.NumClassEmbeds > 0 {
				return nil, err
			}
			values, shape, err := unet.WidenClasses(nil, []int{0, c.ClassWidth()}, to.Classes)
			return []weights.Tensor{weights.NewTensor(unet.ClassTable, shape, values)}, err
		},
		folder: func(folder string) error {
			keys := map[string]any{}
			if to.Channels > 0 {
				keys["in_channels"] = to.Channels
			}
			if to.Classes > 0 {
				keys["num_class_embeds"] = to.Classes
			}
			return editJSON(filepath.Join(folder, "config.json"), keys)
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
