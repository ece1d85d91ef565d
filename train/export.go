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

// ExportOptions say how a trained U-Net is written.
type ExportOptions struct {
	EMA           bool // the moving average instead of the parameters
	DType         weights.DType
	MaxShardBytes int64 // of one file; 0 means 10 GB
}

// Export writes a pipeline's folder in diffusers' layout: the folder base with the U-Net of a checkpoint in its place, and the noise
// schedule that it was trained for. dst must not exist; it appears when it is complete.
func Export(ctx context.Context, checkpointDir, base, dst string, o ExportOptions) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("export %s: %w", checkpointDir, err)
		}
	}()
	if _, err := weights.ReadPipeline(base); err != nil {
		return err
	}
	if err := verify(checkpointDir); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(checkpointDir, stateFile))
	if err != nil {
		return err
	}
	var c checkpoint
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s: %w", stateFile, err)
	}
	network := filepath.Join(checkpointDir, unetFolder)
	if o.EMA {
		if !c.Config.EMA {
			return errors.New("the run kept no moving average: export the parameters, or train with ema")
		}
		network = filepath.Join(checkpointDir, averageFolder)
	}
	return atomicfile.Folder(dst, func(dir string) error {
		if err := copyTree(ctx, dir, base, unetFolder); err != nil {
			return err
		}
		o := model.ConvertOptions{DType: o.DType, MaxShardBytes: o.MaxShardBytes}
		if err := model.Convert(ctx, network, filepath.Join(dir, unetFolder), o); err != nil {
			return err
		}
		return exportScheduler(filepath.Join(dir, "scheduler", "scheduler_config.json"), c.Config.Prediction)
	})
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
