package clip

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/hfconfig"
)

// Config is the config.json of transformers' CLIPTextModel. In the comments: Stable Diffusion
// 1.5's text encoder, which is OpenAI's ViT-L/14.
type Config struct {
	VocabSize             int     `json:"vocab_size"`              // 49408
	MaxPositionEmbeddings int     `json:"max_position_embeddings"` // 77
	HiddenSize            int     `json:"hidden_size"`             // 768
	IntermediateSize      int     `json:"intermediate_size"`       // 3072
	NumHiddenLayers       int     `json:"num_hidden_layers"`       // 12
	NumAttentionHeads     int     `json:"num_attention_heads"`     // 12
	HiddenAct             string  `json:"hidden_act"`              // quick_gelu; gelu in Stable Diffusion 2
	LayerNormEps          float64 `json:"layer_norm_eps"`          // 1e-5
}

// fixed are the keys of which only one kind of network is built.
var fixed = hfconfig.Fixed{"model_type": {"clip_text_model"}}

// SD15 is Stable Diffusion 1.5's text encoder: 123,060,480 parameters.
func SD15() Config {
	return Config{
		VocabSize: 49408, MaxPositionEmbeddings: 77, HiddenSize: 768, IntermediateSize: 3072,
		NumHiddenLayers: 12, NumAttentionHeads: 12, HiddenAct: "quick_gelu", LayerNormEps: 1e-5,
	}
}

// defaults are transformers' for keys that a file leaves out.
func defaults() Config {
	c := SD15()
	c.HiddenSize, c.IntermediateSize, c.NumAttentionHeads = 512, 2048, 8
	return c
}

// ReadConfig reads a config.json. A network that isn't built here is refused with the key that says so.
func ReadConfig(path string) (Config, error) { return hfconfig.Load(path, defaults(), fixed) }

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	errs := []error{hfconfig.Positive(map[string]int{
		"vocab_size": c.VocabSize, "max_position_embeddings": c.MaxPositionEmbeddings, "hidden_size": c.HiddenSize,
		"intermediate_size": c.IntermediateSize, "num_hidden_layers": c.NumHiddenLayers,
		"num_attention_heads": c.NumAttentionHeads,
	})}
	if c.NumAttentionHeads > 0 && c.HiddenSize%c.NumAttentionHeads != 0 {
		errs = append(errs, fmt.Errorf("hidden_size: %d: want a multiple of num_attention_heads (%d)", c.HiddenSize,
			c.NumAttentionHeads))
	}
	if _, err := c.activation(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c Config) activation() (op.Act, error) {
	switch c.HiddenAct {
	case "quick_gelu":
		return op.QuickGELU, nil
	case "gelu":
		return op.GELU, nil
	}
	return op.NoAct, fmt.Errorf("hidden_act: %q is not supported: want quick_gelu or gelu", c.HiddenAct)
}

// Ignore reports whether a file's tensor is one that the network does not use: position numbers, in old files.
func Ignore(name string) bool { return name == "text_model.embeddings.position_ids" }
