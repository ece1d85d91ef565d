package weights

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/histdist/histdist/internal/hfconfig"
)

// Pipeline is the model_index.json of a folder that diffusers saved a whole pipeline in.
type Pipeline struct {
	Dir        string
	Class      string               // _class_name, such as StableDiffusionPipeline
	Components map[string]Component // by folder: unet, vae, text_encoder, tokenizer, scheduler, …
}

// Component is one part of a pipeline. The zero value is a part that the pipeline can have but has not: null in
// the file.
type Component struct {
	Library string // diffusers or transformers
	Class   string // such as UNet2DConditionModel
}

// ReadPipeline reads model_index.json in a folder. The error wraps fs.ErrNotExist where there is none.
func ReadPipeline(dir string) (Pipeline, error) {
	path := filepath.Join(dir, "model_index.json")
	b, err := hfconfig.ReadFile(path)
	if err != nil {
		return Pipeline{}, fmt.Errorf("read pipeline: %w", err)
	}
	p := Pipeline{Dir: dir, Components: map[string]Component{}}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return Pipeline{}, fmt.Errorf("read pipeline: %s: %w", path, err)
	}
	if err := json.Unmarshal(fields["_class_name"], &p.Class); err != nil {
		return Pipeline{}, fmt.Errorf("read pipeline: %s: _class_name: want the name of a pipeline", path)
	}
	for name, raw := range fields {
		var pair []*string // other fields are switches and versions
		if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 {
			continue
		}
		var c Component
		if pair[0] != nil && pair[1] != nil {
			c = Component{*pair[0], *pair[1]}
		}
		p.Components[name] = c
	}
	return p, nil
}

// Folder returns the folder of a component, an error if the pipeline has none of that name.
func (p Pipeline) Folder(component string) (string, error) {
	if p.Components[component] == (Component{}) {
		return "", fmt.Errorf("%s: the pipeline %s has no %s; it has %v", p.Dir, p.Class, component, p.Names())
	}
	return filepath.Join(p.Dir, component), nil
}

// Names lists the components that the pipeline has.
func (p Pipeline) Names() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(p.Components)) {
		if p.Components[name] != (Component{}) {
			list = append(list, name)
		}
	}
	return list
}

// networks lists those of them that have weights.
func (p Pipeline) networks() []string {
	return slices.DeleteFunc(p.Names(), func(name string) bool {
		_, err := findFile(filepath.Join(p.Dir, name), "")
		return err != nil
	})
}
