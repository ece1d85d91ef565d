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
	"slices"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/option"
)

// The presets: named samplings. PresetPaper and PresetBalanced need nothing of a model; PresetFast is a
// model's own, a few calls, which its folder has.
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
type Preset struct {
	schedule.Sampling

	// UNet is the folder of the U-Net inside the model's, such as unet-fast with one for few steps; "" means unet.
	UNet string `json:"unet,omitempty"`
}

// UnmarshalJSON refuses unknown keys.
func (p *Preset) UnmarshalJSON(text []byte) error {
	type plain Preset // without this method
	s := plain{Sampling: schedule.Paper()}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return err
	}
	*p = Preset(s)
	return nil
}

// Validate reports everything that is wrong with the preset, as option.KeyErrors.
func (p Preset) Validate() error { return errors.Join(p.Sampling.Validate(), checkUNet(p.UNet)) }

// checkUNet returns an error unless a folder's name is one inside the model's folder, or "".
func checkUNet(name string) error {
	if name == "" || filepath.IsLocal(name) && filepath.Base(name) == name && name != "." {
		return nil
	}
	return option.Wrong("unet", "%q: want the name of a folder inside the model's, such as unet-fast", name)
}

// Describe says in a line what the preset costs and is.
func (p Preset) Describe() string {
	if p.UNet == "" {
		return p.Sampling.Describe()
	}
	return p.Sampling.Describe() + "; U-Net " + p.UNet
}

// Preset returns a preset by its name: PresetPaper, PresetBalanced or PresetFast.
func (p Purpose) Preset(name string) (Preset, error) {
	switch {
	case name == PresetPaper:
		return Preset{Sampling: schedule.Paper()}, nil
	case name == PresetBalanced && p.Presets.Balanced != nil:
		return *p.Presets.Balanced, nil
	case name == PresetBalanced:
		return Preset{Sampling: schedule.Balanced()}, nil
	case name == PresetFast && p.Presets.Fast != nil:
		return *p.Presets.Fast, nil
	case name == PresetFast:
		return Preset{}, fmt.Errorf("preset fast: the model has none: balanced takes %d "+
			"U-Net calls and works with any model; a model for fewer names its preset fast in %s",
			schedule.Balanced().Calls(), PurposeFile)
	}
	return Preset{}, fmt.Errorf("preset %q: want %s, %s or %s", name, PresetPaper, PresetBalanced, PresetFast)
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
func (p Presets) all() iter.Seq2[string, Preset] {
	return func(yield func(string, Preset) bool) {
		if p.Balanced != nil && !yield(PresetBalanced, *p.Balanced) {
			return
		}
		if p.Fast != nil {
			yield(PresetFast, *p.Fast)
		}
	}
}

// unets are the folders of U-Nets that presets name, each once, with the first key of histdist.json that does.
func (p Presets) unets() (folders, keys []string) {
	for name, s := range p.all() {
		if s.UNet != "" && s.UNet != defaultUNet && !slices.Contains(folders, s.UNet) {
			folders, keys = append(folders, s.UNet), append(keys, "presets."+name+".unet")
		}
	}
	return folders, keys
}
