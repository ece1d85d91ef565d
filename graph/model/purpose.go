package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/hfconfig"
)

// PurposeFile is the file in a model's folder for what diffusers' files can't record.
const PurposeFile = "histdist.json"

// DefaultPrompt is the paper's prompt, for models without one.
const DefaultPrompt = "H&E"

// Purpose is what a model was trained for, the content of histdist.json. Zero fields are unknown.
type Purpose struct {
	Marker string  `json:"marker,omitempty"` // that the model stains for, such as ER
	MPP    float64 `json:"mpp,omitempty"`    // micrometres per pixel of the images that it was trained with
	Prompt string  `json:"prompt,omitempty"` // that describes the H&E to the text encoder

	// Markers are those of a model that stains for several, instead of Marker: see Label.
	Markers []string `json:"markers,omitempty"`

	Presets Presets `json:"presets,omitzero"`
}

// ReadPurpose reads a model's histdist.json; without one the Purpose is zero. Unknown keys are errors.
func ReadPurpose(dir string) (Purpose, error) {
	path := filepath.Join(dir, PurposeFile)
	text, err := hfconfig.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Purpose{}, nil
	}
	if err != nil {
		return Purpose{}, err
	}
	var p Purpose
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Purpose{}, fmt.Errorf("%s: %w: want the keys marker, markers, mpp, prompt and presets", path, err)
	}
	return p, p.validate(path)
}

func (p Purpose) validate(path string) error {
	if p.MPP < 0 || math.IsInf(p.MPP, 1) {
		return fmt.Errorf("%s: mpp: %g: want micrometres per pixel, such as 0.5", path, p.MPP)
	}
	if len(p.Markers) > 0 && p.Marker != "" {
		return fmt.Errorf("%s: marker and markers: want one of them", path)
	}
	if err := CheckMarkers(p.Markers); err != nil {
		return fmt.Errorf("%s: markers: %w", path, err)
	}
	if err := p.Presets.validate(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// WritePurpose writes a model's histdist.json.
func WritePurpose(dir string, p Purpose) error {
	path := filepath.Join(dir, PurposeFile)
	if err := p.validate(path); err != nil {
		return err
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // H&E
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		return err
	}
	return atomicfile.Write(path, text.Bytes())
}
