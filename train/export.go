package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/atomicfile"
)

// ExportOptions say how a trained network is written.
type ExportOptions struct {
	EMA           bool // the moving average instead of the parameters
	DType         weights.DType
	MaxShardBytes int64 // of one file; 0 means 10 GB
	// Latents are the statistics of an autoencoder's latents, see MeasureLatents. The exported one has latents of mean 0
	// and standard deviation 1/model.ScalingFactor in each channel, as diffusion expects. nil leaves the autoencoder as it
	// is.
	Latents *model.LatentStatistics
	// Phikon is the folder of the vision transformer to add if base has none; "" is none.
	Phikon string
	// UNet is the folder of the U-Net that a run with an adapter began with.
	UNet string
	// Merge adds a run's adapter to that U-Net's weights; otherwise ExportAdapter writes it alone.
	Merge   bool
	Variant string        // of the base's weights, in the networks that have it
	Card    []byte        // README.md, in place of the base's; nil is none
	Purpose model.Purpose // histdist.json; none if zero
}

// FastUNet is the folder of a U-Net for one step in a model's folder, next to the one it was made from.
const FastUNet = "unet-fast"

// Export writes a pipeline's folder in diffusers' layout: the networks of the folder base, one of them replaced by the
// checkpoint's, all in one type and under the names that diffusers looks for. A U-Net comes with the noise schedule it
// was trained for; one for one step is added, in FastUNet. dst must not exist; it appears when it is complete.
func Export(ctx context.Context, checkpointDir, base, dst string, o ExportOptions) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("export %s: %w", checkpointDir, err)
		}
	}()
	network, c, err := checkpointNetwork(checkpointDir, o.EMA)
	if err != nil {
		return err
	}
	if o.Latents != nil && c.Config.Objective != Autoencoder {
		return fmt.Errorf("latent statistics are for an %s: this is a checkpoint of a %s", Autoencoder, c.Config.Objective)
	}
	part := c.Config.Objective.folder()
	if c.Config.Objective == EndToEnd {
		part = FastUNet
	}
	var adapters map[string]*lora.Adapter
	if c.Config.Adapter.lora() {
		a, err := lora.Open(network)
		if err != nil {
			return err
		}
		adapters, network = map[string]*lora.Adapter{part: a}, o.UNet
	}
	convert := model.ConvertOptions{
		DType: o.DType, MaxShardBytes: o.MaxShardBytes, Variant: o.Variant, Replace: map[string]string{part: network},
		Components: []string{"unet", "vae", "text_encoder", "tokenizer", "scheduler", "phikon", part}, Adapters: adapters,
	}
	for _, preset := range []*model.Preset{o.Purpose.Presets.Balanced, o.Purpose.Presets.Fast} {
		if preset != nil && preset.UNet != "" {
			convert.Components = append(convert.Components, preset.UNet)
		}
	}
	if _, err := os.Stat(filepath.Join(base, "phikon")); o.Phikon != "" && errors.Is(err, fs.ErrNotExist) {
		convert.Replace["phikon"] = o.Phikon
	}
	one := model.ConvertOptions{DType: o.DType, MaxShardBytes: o.MaxShardBytes}
	if o.Latents != nil {
		convert.Components = slices.DeleteFunc(convert.Components, func(c string) bool { return c == part })
	}
	convert.Finish = func(dir string) error {
		if o.Latents != nil {
			if err := model.RescaleLatents(ctx, network, filepath.Join(dir, part), *o.Latents, one); err != nil {
				return err
			}
		}
		if c.Config.Objective != Autoencoder {
			if err := exportScheduler(dir, c.Config.Prediction); err != nil {
				return err
			}
		}
		return describe(dir, o)
	}
	return model.Convert(ctx, base, dst, convert)
}

// ExportAdapter writes the adapter of a checkpoint into a new folder, as diffusers' load_lora_weights takes it, with
// the card of the options. dst must not exist; it appears when it is complete.
func ExportAdapter(checkpointDir, dst string, o ExportOptions) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("export %s: %w", checkpointDir, err)
		}
	}()
	folder, c, err := checkpointNetwork(checkpointDir, o.EMA)
	if err != nil {
		return err
	}
	if !c.Config.Adapter.lora() {
		return errors.New("the run trained all weights: it has no adapter")
	}
	a, err := lora.Open(folder)
	if err != nil {
		return err
	}
	return atomicfile.Folder(dst, func(dir string) error {
		return errors.Join(a.Export(filepath.Join(dir, lora.FileName), o.DType), describe(dir, o))
	})
}

// describe replaces the base's card and purpose by the model's.
func describe(dir string, o ExportOptions) error {
	readme := filepath.Join(dir, "README.md")
	if err := os.Remove(readme); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if o.Card != nil {
		if err := os.WriteFile(readme, o.Card, 0o644); err != nil {
			return err
		}
	}
	if o.Purpose.IsZero() {
		return nil
	}
	return model.WritePurpose(dir, o.Purpose)
}

// Description is what a checkpoint says of its run.
type Description struct {
	Step    int
	Config  Config
	Inputs  map[string]string // RunOptions.Inputs
	Program string            // the version that wrote it
}

// Describe reads what a checkpoint says of its run.
func Describe(checkpointDir string) (Description, error) {
	c, err := readState(checkpointDir)
	return Description{c.Step, c.Config, c.Inputs, c.Program}, err
}

// checkpointNetwork verifies a checkpoint and returns the folder of its network, with the parameters or their average.
func checkpointNetwork(checkpointDir string, average bool) (string, checkpoint, error) {
	if err := verify(checkpointDir); err != nil {
		return "", checkpoint{}, err
	}
	c, err := readState(checkpointDir)
	if err != nil {
		return "", c, err
	}
	network := filepath.Join(checkpointDir, c.Config.folder())
	if average {
		if !c.Config.EMA {
			return "", c, errors.New("the run kept no moving average: export the parameters, or train with ema")
		}
		network += averageSuffix
	}
	return network, c, nil
}

// exportScheduler rewrites a noise schedule for a prediction type, as DDIMScheduler, which has all keys.
func exportScheduler(dir string, p schedule.PredictionType) error {
	path := filepath.Join(dir, "scheduler", "scheduler_config.json")
	c, err := schedule.ReadConfig(path)
	if err != nil {
		return err
	}
	if c, err = c.For(p); err != nil {
		return err
	}
	c.ClassName = "DDIMScheduler"
	if err := schedule.WriteConfig(path, c); err != nil {
		return err
	}
	return model.MakeTranslating(dir, c.ClassName)
}
