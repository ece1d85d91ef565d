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
	return c, values, err
}

// runHint says how a run is named whose folder was given instead of its file.
func runHint(none *configs.NoFileError) string {
	file := filepath.Join(none.Path, configFile)
	if _, err := os.Stat(file); !none.Folder || err != nil {
		return ""
	}
	return fmt.Sprintf("\nthe run in this folder is %s", file)
}
