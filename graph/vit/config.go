package vit

import (
	"errors"
	"fmt"
	"strings"

	"github.com/histdist/histdist/internal/hfconfig"
)

// Config is the config.json of transformers' ViTModel. In the comments: Phikon's, a ViT-B/16.
type Config struct {
	HiddenSize        int     `json:"hidden_size"`         // 768
	IntermediateSize  int     `json:"intermediate_size"`   // 3072
	NumHiddenLayers   int     `json:"num_hidden_layers"`   // 12
	NumAttentionHeads int     `json:"num_attention_heads"` // 12
	NumChannels       int     `json:"num_channels"`        // 3
	ImageSize         int     `json:"image_size"`          // 224
	PatchSize         int     `json:"patch_size"`          // 16
	QKVBias           bool    `json:"qkv_bias"`            // true
	LayerNormEps      float64 `json:"layer_norm_eps"`      // 1e-12
}

// fixed are the keys of which only one kind of network is built.
var fixed = hfconfig.Fixed{"model_type": {"vit"}, "hidden_act": {"gelu"}}

// Phikon is owkin/phikon's network: 85,798,656 parameters.
func Phikon() Config {
	return Config{
		HiddenSize: 768, IntermediateSize: 3072, NumHiddenLayers: 12, NumAttentionHeads: 12,
		NumChannels: 3, ImageSize: 224, PatchSize: 16, QKVBias: true, LayerNormEps: 1e-12,
	}
}

// ReadConfig reads a config.json; transformers' defaults for keys that it leaves out are Phikon's values. A network
// that isn't built here is refused with the key that says so.
func ReadConfig(path string) (Config, error) { return hfconfig.Load(path, Phikon(), fixed) }

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	errs := []error{hfconfig.Positive(map[string]int{
		"hidden_size": c.HiddenSize, "intermediate_size": c.IntermediateSize, "num_hidden_layers": c.NumHiddenLayers,
		"num_attention_heads": c.NumAttentionHeads, "num_channels": c.NumChannels, "image_size": c.ImageSize,
		"patch_size": c.PatchSize,
	})}
	if c.NumAttentionHeads > 0 && c.HiddenSize%c.NumAttentionHeads != 0 {
		errs = append(errs, fmt.Errorf("hidden_size: %d: want a multiple of num_attention_heads (%d)", c.HiddenSize,
			c.NumAttentionHeads))
	}
	if c.PatchSize > 0 && c.ImageSize%c.PatchSize != 0 {
		errs = append(errs, fmt.Errorf("image_size: %d: want a multiple of patch_size (%d)", c.ImageSize, c.PatchSize))
	}
	return errors.Join(errs...)
}

// Tokens is the length of the hidden state: the class token and one for each patch, 197.
func (c Config) Tokens() int {
	side := c.ImageSize / c.PatchSize
	return 1 + side*side
}

// Rename takes away the prefix that parameters have in files of networks with a ViT in them.
func Rename(name string) string { return strings.TrimPrefix(name, "vit.") }

// Ignore reports whether a file's tensor is one that the network does not use: the pooler, the classifier and
// the mask token.
func Ignore(name string) bool {
	name = Rename(name)
	return strings.HasPrefix(name, "pooler.") || strings.HasPrefix(name, "classifier.") || name == "embeddings.mask_token"
}
