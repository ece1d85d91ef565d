package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/weights"
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
	if _, err := os.Lstat(dst); err == nil {
		return fmt.Errorf("%s exists: name a folder that doesn't", dst)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
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
	if err := os.MkdirAll(filepath.Dir(dst), 0o777); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(dst), "."+filepath.Base(dst)+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := copyTree(ctx, dir, base, unetFolder); err != nil {
		return err
	}
	if err := exportUNet(filepath.Join(dir, unetFolder), network, o); err != nil {
		return err
	}
	if err := exportScheduler(filepath.Join(dir, "scheduler", "scheduler_config.json"), c.Config.Prediction); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return os.Rename(dir, dst)
}

// exportUNet writes a network's folder again.
func exportUNet(dst, src string, o ExportOptions) (err error) {
	c, err := unet.ReadConfig(filepath.Join(src, configFile))
	if err != nil {
		return err
	}
	n, err := unet.Build(c, unet.Size{Batch: 1, Height: 1, Width: 1, Tokens: 1})
	if err != nil {
		return err
	}
	s, err := weights.Open(src, weights.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Bind(n.Scope.Params(), weights.Mapping{}); err != nil {
		return err
	}
	tensors, err := weights.FromParams(n.Scope.Params())
	if err != nil {
		return err
	}
	if err := weights.Save(dst, tensors, weights.SaveOptions{DType: o.DType, MaxShardBytes: o.MaxShardBytes}); err != nil {
		return err
	}
	return copyFile(filepath.Join(dst, configFile), filepath.Join(src, configFile))
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
		return copyFile(filepath.Join(dst, name), path)
	})
}

// copyFile copies a file and waits until the disk has it.
func copyFile(dst, src string) (err error) {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Sync(), to.Close())
}
