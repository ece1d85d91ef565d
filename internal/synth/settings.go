package synth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// generation is the version of the tissue model: a folder has images of one version.
const generation = 1

// settings is dataset.json: everything that the files of a data set depend on.
type settings struct {
	Description string `json:"description"`
	Generation  int    `json:"generation"`
	Config
}

// mark marks a folder as the configuration's, or returns why it can't.
func mark(dir string, c Config) error {
	path := filepath.Join(dir, "dataset.json")
	want := settings{"synthetic pairs of H&E and IHC in MIST's layout", generation, c}
	var foreign string
	for _, folder := range []string{"TrainValAB", "truth"} { // another shard makes dataset.json before them
		if _, err := os.Stat(filepath.Join(dir, folder)); err == nil {
			foreign = folder
			break
		}
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if foreign != "" {
			return fmt.Errorf("%s has a folder %s but no dataset.json, so it is not ours; choose another folder", dir, foreign)
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		return writeJSON(path, want)
	}
	if err != nil {
		return err
	}
	there, err := fields(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	wanted, err := json.Marshal(want)
	if err != nil {
		return err
	}
	asked, err := fields(wanted)
	if err != nil {
		return err
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(asked)) {
		switch old, ok := there[key]; {
		case !ok:
			errs = append(errs, fmt.Errorf("%s is missing", key))
		case old != asked[key]:
			errs = append(errs, fmt.Errorf("%s is %v, not %v", key, old, asked[key]))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%s has other settings; choose another folder: %w", path, errors.Join(errs...))
	}
	return nil
}

// fields takes a JSON object apart. Numbers keep their text, which a seed of 64 bits needs.
func fields(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var m map[string]any
	err := d.Decode(&m)
	for key, v := range m {
		switch v.(type) {
		case map[string]any, []any: // not comparable, and of no setting
			return nil, fmt.Errorf("%s is neither a number nor a text", key)
		}
	}
	return m, err
}
