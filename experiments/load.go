package experiments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/histdist/histdist/configs"
)

// Load reads an experiment, a file or a built-in one's name, with KEY=VALUE texts over it. A run's folder that was moved or copied is
// where the run is: the file in it names the place where it began.
func Load(path string, set []string) (configs.Experiment, []configs.Value, error) {
	c, values, err := configs.LoadExperiment(path, Find, set)
	var none *configs.NoFileError
	if errors.As(err, &none) {
		return c, values, fmt.Errorf("%w; want the path of a YAML file, or a built-in experiment: %s%s", err, strings.Join(Names(), ", "), runHint(none))
	}
	if folder, ok := runOf(path); ok {
		moveRun(&c, values, path, folder)
	}
	return c, values, err
}

// runOf is the folder of the run whose file a path names, if it is one: what the run wrote is next to it.
func runOf(path string) (folder string, ok bool) {
	folder = filepath.Dir(path)
	if strings.TrimSuffix(filepath.Base(path), ".yaml")+".yaml" != configFile {
		return "", false
	}
	for _, pattern := range []string{metricsFile, latestFile, "checkpoint-*"} {
		if found, err := filepath.Glob(filepath.Join(folder, pattern)); err == nil && len(found) > 0 {
			return folder, true
		}
	}
	return "", false
}

// moveRun sets the run's folder to the one that its file is in, unless another was asked for outside that file.
func moveRun(c *configs.Experiment, values []configs.Value, path, folder string) {
	for i, v := range values {
		if v.Key != "run.output" || !strings.HasPrefix(v.Origin, path) || sameFolder(folder, c.Run.Output) {
			continue
		}
		values[i].Origin = fmt.Sprintf("the folder of %s, which says %s", path, c.Run.Output)
		values[i].Value, c.Run.Output = folder, folder
	}
}

func sameFolder(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// runHint says how a run is named whose folder was given instead of its file.
func runHint(none *configs.NoFileError) string {
	file := filepath.Join(none.Path, configFile)
	if _, err := os.Stat(file); !none.Folder || err != nil {
		return ""
	}
	return fmt.Sprintf("\nthe run in this folder is %s", file)
}
