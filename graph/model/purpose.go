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

// PurposeFile is the file of a model's folder that says what diffusers' files have no place for.
const PurposeFile = "histdist.json"

// DefaultPrompt is the paper's, for models that say nothing else.
const DefaultPrompt = "H&E"

// Purpose is the text of histdist.json: what a model was trained for. Fields that a file leaves out are not known.
type Purpose struct {
	Marker string  `json:"marker,omitempty"` // that the model stains for, such as ER
	MPP    float64 `json:"mpp,omitempty"`    // micrometres per pixel of the images that it was trained with
	Prompt string  `json:"prompt,omitempty"` // that describes the H&E to the text encoder
}

// ReadPurpose reads a model's histdist.json. A folder without one has the zero Purpose. Keys that aren't known are refused.
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
		return Purpose{}, fmt.Errorf("%s: %w: want the keys marker, mpp and prompt", path, err)
	}
	return p, p.validate(path)
}

func (p Purpose) validate(path string) error {
	if p.MPP < 0 || math.IsInf(p.MPP, 1) {
		return fmt.Errorf("%s: mpp: %g: want micrometres per pixel, such as 0.5", path, p.MPP)
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
