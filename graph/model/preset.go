package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/option"
)

// The presets: named samplings. PresetPaper and PresetBalanced need nothing of a model; PresetFast is for a distilled
// one, whose folder has it.
const (
	PresetPaper    = "paper"
	PresetBalanced = "balanced"
	PresetFast     = "fast"
)

// Presets are a model's own, nil where it has none.
type Presets struct {
	Balanced *Preset `json:"balanced,omitempty"` // in place of the program's
	Fast     *Preset `json:"fast,omitempty"`
}

// Preset is a sampling in a model's folder. Keys that it leaves out are the paper's.
type Preset schedule.Sampling

// UnmarshalJSON refuses unknown keys.
func (p *Preset) UnmarshalJSON(text []byte) error {
	s := schedule.Paper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return err
	}
	*p = Preset(s)
	return nil
}

// Preset returns a preset by its name: PresetPaper, PresetBalanced or PresetFast.
func (p Purpose) Preset(name string) (schedule.Sampling, error) {
	switch {
	case name == PresetPaper:
		return schedule.Paper(), nil
	case name == PresetBalanced && p.Presets.Balanced != nil:
		return schedule.Sampling(*p.Presets.Balanced), nil
	case name == PresetBalanced:
		return schedule.Balanced(), nil
	case name == PresetFast && p.Presets.Fast != nil:
		return schedule.Sampling(*p.Presets.Fast), nil
	case name == PresetFast:
		return schedule.Sampling{}, fmt.Errorf("preset fast: the model has none, for it is not distilled: balanced takes %d "+
			"U-Net calls and works with any model; a distilled model names its preset in %s",
			schedule.Balanced().Calls(), PurposeFile)
	}
	return schedule.Sampling{}, fmt.Errorf("preset %q: want %s, %s or %s", name, PresetPaper, PresetBalanced, PresetFast)
}

// CanKeep reports why a preset can't be kept in a model's folder: it is found by a name in a cache, which is not the
// user's to change, or can't be written.
func CanKeep(name, folder string) error {
	if name != folder {
		return fmt.Errorf("%s names a model in a cache, which is not changed: copy its folder, and name the copy", name)
	}
	for _, file := range []string{"model_index.json", PurposeFile} {
		if info, err := os.Lstat(filepath.Join(folder, file)); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s is a cache, for its %s is a link: copy the folder, and name the copy", folder, file)
		}
	}
	probe, err := os.CreateTemp(folder, ".histdist-")
	if err != nil {
		return fmt.Errorf("%s can't be written: %w", folder, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// KeepBalanced makes a sampling the model's own balanced preset.
func KeepBalanced(folder string, s Preset) error {
	p, err := ReadPurpose(folder)
	if err != nil {
		return err
	}
	p.Presets.Balanced = &s
	return WritePurpose(folder, p)
}

// validate reports what is wrong with the presets, as option.KeyErrors.
func (p Presets) validate() error {
	var errs []error
	for name, s := range p.all() {
		errs = append(errs, option.In("presets."+name, s.Validate()))
	}
	return errors.Join(errs...)
}

// all are the presets that there are, by name.
func (p Presets) all() iter.Seq2[string, schedule.Sampling] {
	return func(yield func(string, schedule.Sampling) bool) {
		if p.Balanced != nil && !yield(PresetBalanced, schedule.Sampling(*p.Balanced)) {
			return
		}
		if p.Fast != nil {
			yield(PresetFast, schedule.Sampling(*p.Fast))
		}
	}
}
