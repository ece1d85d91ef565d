package model

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/hfconfig"
)

// kind is a class of network that this program builds.
type kind struct {
	class    string // _class_name or architectures[0] in config.json
	baseName string // of the files with its weights
	mapping  weights.Mapping
	// params makes the parameters of the network of a config.json, in a graph of the smallest size.
	params func(path string) (gorgonia.Nodes, error)
}

// The classes in addition to unetClass and vaeClass.
const (
	textClass = "CLIPTextModel"
	vitClass  = "ViTModel"
)

// kindNamed returns the kind of a class.
func kindNamed(class string) (kind, error) {
	for _, k := range kinds() {
		if k.class == class {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("a network of class %q is not known", class)
}

// The names of weights' files.
const (
	diffusersBase    = "diffusion_pytorch_model"
	transformersBase = "model"
)

// kinds lists the classes.
func kinds() []kind {
	return []kind{
		{unetClass, diffusersBase, weights.Mapping{}, unetParams},
		{vaeClass, diffusersBase, weights.Mapping{Rename: vae.Rename}, vaeParams},
		{textClass, transformersBase, weights.Mapping{Ignore: clip.Ignore}, textParams},
		{vitClass, transformersBase, weights.Mapping{Rename: vit.Rename, Ignore: vit.Ignore}, vitParams},
	}
}

func unetParams(path string) (gorgonia.Nodes, error) {
	c, err := unet.ReadConfig(path)
	if err != nil {
		return nil, err
	}
	n, err := unet.Build(c, unet.Size{Batch: 1, Height: 1, Width: 1, Tokens: 1})
	if err != nil {
		return nil, err
	}
	return n.Scope.Params(), nil
}

func vaeParams(path string) (gorgonia.Nodes, error) {
	c, err := vae.ReadConfig(path)
	if err != nil {
		return nil, err
	}
	s := op.NewScope("vae")
	moments := vae.Encode(s, s.Input("image", 1, c.Factor(), c.Factor(), c.InChannels), c)
	vae.Decode(s, op.Slice{Axis: 3, Offset: 0, Length: c.LatentChannels}.Apply(s, moments), c)
	return s.Params(), s.Err()
}

func textParams(path string) (gorgonia.Nodes, error) {
	c, err := clip.ReadConfig(path)
	if err != nil {
		return nil, err
	}
	n, err := clip.Build(c, 1, c.MaxPositionEmbeddings)
	if err != nil {
		return nil, err
	}
	return n.Scope.Params(), nil
}

func vitParams(path string) (gorgonia.Nodes, error) {
	c, err := vit.ReadConfig(path)
	if err != nil {
		return nil, err
	}
	n, err := vit.Build(c, 1)
	if err != nil {
		return nil, err
	}
	return n.Scope.Params(), nil
}

// identity is what a config.json says of its network's class.
type identity struct {
	ClassName     string   `json:"_class_name"`
	Architectures []string `json:"architectures"`
	ModelType     string   `json:"model_type"`
}

// kindOf returns the kind of the network in a folder.
func kindOf(folder string) (kind, error) {
	path := filepath.Join(folder, "config.json")
	text, err := hfconfig.ReadFile(path)
	if err != nil {
		return kind{}, err
	}
	var id identity
	if err := json.Unmarshal(text, &id); err != nil {
		return kind{}, fmt.Errorf("%s: %w", path, err)
	}
	class := id.ClassName
	if class == "" && len(id.Architectures) > 0 {
		class = id.Architectures[0]
	}
	var known []string
	for _, k := range kinds() {
		// A ViT or CLIP with a head has another class but contains the network.
		if k.class == class || id.ModelType == "vit" && k.class == vitClass ||
			id.ModelType == "clip_text_model" && k.class == textClass {
			return k, nil
		}
		known = append(known, k.class)
	}
	return kind{}, fmt.Errorf("%s: a network of class %q: want %s", path, class, strings.Join(known, ", "))
}
