package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	// Latents are those of the checkpoint's autoencoder, see MeasureLatents: what is exported gives latents of mean 0 and standard
	// deviation 1/model.ScalingFactor in each channel, as a diffusion in them wants. nil exports the autoencoder as it is.
	Latents *model.LatentStatistics
	// Phikon is the folder of the vision transformer to put beside the other networks where base has none; "" is none.
	Phikon string
}

// Export writes a pipeline's folder in diffusers' layout: the folder base with the network of a checkpoint in its place. With a U-Net
// goes the noise schedule that it was trained for. dst must not exist; it appears when it is complete.
func Export(ctx context.Context, checkpointDir, base, dst string, o ExportOptions) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("export %s: %w", checkpointDir, err)
		}
	}()
	if _, err := weights.ReadPipeline(base); err != nil {
		return err
	}
	network, c, err := checkpointNetwork(checkpointDir, o.EMA)
	if err != nil {
		return err
	}
	if o.Latents != nil && c.Objective != Autoencoder {
		return fmt.Errorf("statistics of latents are for an %s: this is a checkpoint of a %s", Autoencoder, c.Objective)
	}
	part := c.Objective.folder()
	convert := model.ConvertOptions{DType: o.DType, MaxShardBytes: o.MaxShardBytes}
	return atomicfile.Folder(dst, func(dir string) error {
		if err := copyTree(ctx, dir, base, part); err != nil {
			return err
		}
		phikon := filepath.Join(dir, "phikon")
		if _, err := os.Stat(phikon); o.Phikon != "" && errors.Is(err, fs.ErrNotExist) {
			if err := copyTree(ctx, phikon, o.Phikon, ""); err != nil {
				return err
			}
		}
		if o.Latents != nil {
			return model.RescaleLatents(ctx, network, filepath.Join(dir, part), *o.Latents, convert)
		}
		if err := model.Convert(ctx, network, filepath.Join(dir, part), convert); err != nil {
			return err
		}
		if c.Objective != Diffusion {
			return nil
		}
		return exportScheduler(filepath.Join(dir, "scheduler", "scheduler_config.json"), c.Prediction)
	})
}

// checkpointNetwork is the folder of a checkpoint's network, the parameters' or their average's, when the checkpoint is whole.
func checkpointNetwork(checkpointDir string, average bool) (string, Config, error) {
	if err := verify(checkpointDir); err != nil {
		return "", Config{}, err
	}
	text, err := os.ReadFile(filepath.Join(checkpointDir, stateFile))
	if err != nil {
		return "", Config{}, err
	}
	var c checkpoint
	if err := json.Unmarshal(text, &c); err != nil {
		return "", Config{}, fmt.Errorf("%s: %w", stateFile, err)
	}
	network := filepath.Join(checkpointDir, c.Config.Objective.folder())
	if average {
		if !c.Config.EMA {
			return "", c.Config, errors.New("the run kept no moving average: export the parameters, or train with ema")
		}
		network += averageSuffix
	}
	return network, c.Config, nil
}

// exportScheduler sets what a noise schedule is for.
func exportScheduler(path string, p schedule.PredictionType) error {
	c, err := schedule.ReadConfig(path)
	if err != nil {
		return err
	}
	if c, err = c.For(p); err != nil {
		return err
	}
	return schedule.WriteConfig(path, c)
}

// copyTree copies a folder but the one below it that is left out.
func copyTree(ctx context.Context, dst, src, leaveOut string) error {
	return filepath.WalkDir(src, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		// A model in Hugging Face's cache is links to files elsewhere.
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return err
		case name == leaveOut:
			return fs.SkipDir
		case info.IsDir():
			return os.MkdirAll(filepath.Join(dst, name), 0o755)
		}
		return atomicfile.Copy(filepath.Join(dst, name), path)
	})
}
