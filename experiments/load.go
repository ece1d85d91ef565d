package experiments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/internal/walk"
)

// Load reads an experiment by its path or built-in name, with KEY=VALUE texts over it. Where a run's file says that the
// run is elsewhere, the run was moved: it is in the folder of its file. note, if not nil, is told of outdated names.
// The error lists everything that is wrong, each with its place.
func Load(path string, set []string, note func(text string)) (Config, []configs.Value, error) {
	c := Default()
	values, err := configs.Load(&c, configs.Sources{Path: path, BuiltIn: find, Set: set, Synonyms: synonyms, Note: note})
	var none *configs.NoFileError
	if errors.As(err, &none) {
		return c, values, fmt.Errorf("%w; want the path of a YAML file, or a built-in experiment: %s%s",
			err, strings.Join(Names(), ", "), runHint(none))
	}
	if values != nil {
		err = errors.Join(err, configs.Locate(c.Validate(), values))
	}
	if folder, ok := runOf(path); ok {
		moveRun(&c, values, path, folder)
	}
	return c, values, err
}

// runOf returns the folder of the run whose file a path names: one next to what the run wrote.
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

// moveRun sets the run's folder to that of its file, unless it was set outside that file.
func moveRun(c *Config, values []configs.Value, path, folder string) {
	for i, v := range values {
		if v.Key != "run.output" || !strings.HasPrefix(v.Origin, path) || walk.SameFile(folder, c.Run.Output) {
			continue
		}
		values[i].Origin = fmt.Sprintf("the folder of %s, which says %s", path, c.Run.Output)
		values[i].Value, c.Run.Output = folder, folder
	}
}

// runHint names the file of a run whose folder was given.
func runHint(none *configs.NoFileError) string {
	file := filepath.Join(none.Path, configFile)
	if _, err := os.Stat(file); !none.Folder || err != nil {
		return ""
	}
	return fmt.Sprintf("\nthe run in this folder is %s", file)
}
