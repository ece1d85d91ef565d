// Package models has the models that a server translates with: what is known of them without opening them, and their
// pipelines, of which each worker owns one.
//
//	folders ── models.go ──▶ Models: identifiers, markers, presets
//	Models  ── worker.go ──▶ Worker: the pipeline of the model and U-Net that a worker used last, on its device
package models

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
)

// Source is a model's folder, or a name in Hugging Face's cache, and what it is called: "" is the folder's own name.
type Source struct{ Name, Folder string }

// Model is what is known of a model.
type Model struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Marker        string   `json:"marker"` // "" if unknown
	MPP           float64  `json:"mpp"`    // µm per pixel that it works at
	Presets       []Preset `json:"presets"`
	DefaultPreset string   `json:"default_preset"`
	// Fingerprint identifies its content: see model.Model.Fingerprint. It is known once the model has been used.
	Fingerprint string `json:"fingerprint,omitempty"`

	folder  string
	markers infer.Markers // infer.Settings.Marker
}

// Preset is a named sampling of a model.
type Preset struct {
	Name     string       `json:"name"`
	Calls    int          `json:"calls"`    // of the U-Net for each window
	Settings string       `json:"settings"` // in words
	Preset   model.Preset `json:"-"`
}

// ErrUnknown says that there is no model, or preset, of a name.
var ErrUnknown = errors.New("unknown")

// Models are the models of a server.
type Models struct {
	lock sync.Mutex // of fingerprints
	list []Model
}

// New opens every model once, which reads its headers, and closes it again, so that one that is incomplete is reported
// at the start.
func New(sources []Source) (*Models, error) {
	m := &Models{}
	for _, s := range sources {
		opened, err := model.Open(s.Folder, model.Options{})
		if err != nil {
			return nil, err
		}
		purpose, folder := opened.Purpose, opened.Dir
		if err := opened.Close(); err != nil {
			return nil, err
		}
		name := cmp.Or(s.Name, filepath.Base(folder))
		o := Model{
			Name: name, Marker: purpose.Marker, MPP: cmp.Or(purpose.MPP, mosaic.DefaultMPP),
			Presets: presets(purpose), DefaultPreset: defaultPreset(purpose), folder: folder,
		}
		if len(purpose.Markers) == 0 {
			o.ID = m.unused(name)
			m.list = append(m.list, o)
		}
		for _, marker := range purpose.Markers { // each is a model to users
			o.Name, o.Marker, o.markers = name+" "+marker, marker, infer.Markers{marker}
			o.ID = m.unused(o.Name)
			m.list = append(m.list, o)
		}
	}
	return m, nil
}

var notInIDs = regexp.MustCompile(`[^a-z0-9]+`)

// unused makes an identifier of a name that no model has.
func (m *Models) unused(name string) string {
	base := cmp.Or(strings.Trim(notInIDs.ReplaceAllString(strings.ToLower(name), "-"), "-"), "model")
	id := base
	for n := 2; slices.ContainsFunc(m.list, func(o Model) bool { return o.ID == id }); n++ {
		id = fmt.Sprintf("%s-%d", base, n)
	}
	return id
}

func presets(p model.Purpose) []Preset {
	var list []Preset
	for _, name := range []string{model.PresetFast, model.PresetBalanced, model.PresetPaper} {
		preset, err := p.Preset(name)
		if err != nil {
			continue // fast is for models that have it
		}
		list = append(list, Preset{name, preset.Calls(), preset.Describe(), preset})
	}
	return list
}

// defaultPreset is the fastest.
func defaultPreset(p model.Purpose) string {
	if p.Presets.Fast != nil {
		return model.PresetFast
	}
	return model.PresetBalanced
}

// Plan opens a model with a preset's U-Net for plans alone: it has no device. The caller closes it.
func (m *Models) Plan(id, preset string) (*infer.Pipeline, error) {
	o, err := m.Find(id)
	if err != nil {
		return nil, err
	}
	p, err := o.Preset(preset)
	if err != nil {
		return nil, err
	}
	return infer.Open(o.folder, model.Options{UNet: p.Preset.UNet}, infer.Options{})
}

// List returns the models in the order of their sources.
func (m *Models) List() []Model {
	m.lock.Lock()
	defer m.lock.Unlock()
	return slices.Clone(m.list)
}

// Find returns a model by its identifier; ErrUnknown if there is none.
func (m *Models) Find(id string) (Model, error) {
	for _, o := range m.List() {
		if o.ID == id {
			return o, nil
		}
	}
	return Model{}, fmt.Errorf("%w model %q", ErrUnknown, id)
}

// Scrub replaces the folders of models in a text, such as an error's, by the models' identifiers.
func (m *Models) Scrub(text string) string {
	for _, o := range m.List() {
		text = strings.ReplaceAll(text, o.folder, "model "+o.ID)
	}
	return text
}

// Preset returns a preset of the model, the default one for ""; ErrUnknown if it has none of that name.
func (m Model) Preset(name string) (Preset, error) {
	var names []string
	for _, p := range m.Presets {
		if p.Name == cmp.Or(name, m.DefaultPreset) {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Preset{}, fmt.Errorf("%w preset %q: the model %s has %s", ErrUnknown, name, m.ID, strings.Join(names, ", "))
}

// Sampling returns the settings of a translation with a preset and a seed.
func (m Model) Sampling(p Preset, seed int64) infer.Settings {
	s := infer.DefaultSettings()
	s.Sampling, s.Seed, s.Marker = p.Preset.Sampling, seed, m.markers
	return s
}

// used notes a fingerprint.
func (m *Models) used(id, fingerprint string) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for i := range m.list {
		if m.list[i].ID == id {
			m.list[i].Fingerprint = fingerprint
		}
	}
}
