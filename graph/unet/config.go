package unet

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/hfconfig"
)

// Config is the config.json of diffusers' UNet2DConditionModel. In the comments: the values of
// Stable Diffusion 1.5, widened to 8 input channels.
type Config struct {
	InChannels          int      `json:"in_channels"`                    // 8: noisy latents and the condition
	OutChannels         int      `json:"out_channels"`                   // 4
	BlockOutChannels    []int    `json:"block_out_channels"`             // [320 640 1280 1280]
	DownBlockTypes      []string `json:"down_block_types"`               // CrossAttnDownBlock2D ×3, DownBlock2D
	UpBlockTypes        []string `json:"up_block_types"`                 // UpBlock2D, CrossAttnUpBlock2D ×3
	LayersPerBlock      PerLevel `json:"layers_per_block"`               // 2
	TransformerLayers   PerLevel `json:"transformer_layers_per_block"`   // 1
	AttentionHeadDim    PerLevel `json:"attention_head_dim"`             // 8, which is the number of heads
	NumAttentionHeads   PerLevel `json:"num_attention_heads"`            // null; the number of heads, if given
	CrossAttentionDim   int      `json:"cross_attention_dim"`            // 768
	UseLinearProjection bool     `json:"use_linear_projection"`          // false; true in Stable Diffusion 2
	NormNumGroups       int      `json:"norm_num_groups" null:"refused"` // 32
	NormEps             float64  `json:"norm_eps"`                       // 1e-5
	FlipSinToCos        bool     `json:"flip_sin_to_cos"`                // true
	FreqShift           float64  `json:"freq_shift"`                     // 0
	SampleSize          int      `json:"sample_size"`                    // 64, the latents' side in training
	DownsamplePadding   int      `json:"downsample_padding"`             // 1
	NumClassEmbeds      int      `json:"num_class_embeds"`               // null: no class labels

	LowRank op.LowRank `json:"-"` // additions to its weights that are trained; not of the file
}

// The block types.
const (
	crossAttnDown = "CrossAttnDownBlock2D"
	plainDown     = "DownBlock2D"
	crossAttnUp   = "CrossAttnUpBlock2D"
	plainUp       = "UpBlock2D"
)

// fixed are the keys that diffusers knows and of which only one kind of network is built.
var fixed = hfconfig.Fixed{
	"_class_name":                          {"UNet2DConditionModel"},
	"act_fn":                               {"silu", "swish"},
	"addition_embed_type":                  {nil},
	"attention_type":                       {"default"},
	"center_input_sample":                  {false},
	"class_embed_type":                     {nil},
	"class_embeddings_concat":              {false},
	"conv_in_kernel":                       {3},
	"conv_out_kernel":                      {3},
	"dropout":                              {0},
	"cross_attention_norm":                 {nil},
	"dual_cross_attention":                 {false},
	"encoder_hid_dim":                      {nil},
	"encoder_hid_dim_type":                 {nil},
	"mid_block_only_cross_attention":       {nil, false},
	"mid_block_scale_factor":               {1},
	"mid_block_type":                       {"UNetMidBlock2DCrossAttn"},
	"only_cross_attention":                 {false, []any{false, false, false, false}},
	"resnet_out_scale_factor":              {1},
	"resnet_skip_time_act":                 {false},
	"resnet_time_scale_shift":              {"default"},
	"reverse_transformer_layers_per_block": {nil},
	"time_cond_proj_dim":                   {nil},
	"time_embedding_act_fn":                {nil},
	"time_embedding_dim":                   {nil},
	"time_embedding_type":                  {"positional"},
	"timestep_post_act":                    {nil},
}

// defaults are diffusers' for keys that a file leaves out.
func defaults() Config {
	return Config{
		InChannels: 4, OutChannels: 4, BlockOutChannels: []int{320, 640, 1280, 1280},
		DownBlockTypes: []string{crossAttnDown, crossAttnDown, crossAttnDown, plainDown},
		UpBlockTypes:   []string{plainUp, crossAttnUp, crossAttnUp, crossAttnUp},
		LayersPerBlock: PerLevel{2}, TransformerLayers: PerLevel{1}, AttentionHeadDim: PerLevel{8},
		CrossAttentionDim: 1280, NormNumGroups: 32, NormEps: 1e-5, FlipSinToCos: true, SampleSize: 64, DownsamplePadding: 1,
	}
}

// SD15 is Stable Diffusion 1.5's U-Net with 8 input channels: 859,532,484 parameters.
func SD15() Config {
	c := defaults()
	c.InChannels, c.CrossAttentionDim = 8, 768
	return c
}

// ReadConfig reads a config.json. A network that isn't built here is refused with the key that says so.
func ReadConfig(path string) (Config, error) { return hfconfig.Load(path, defaults(), fixed) }

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	levels := len(c.BlockOutChannels)
	if levels == 0 {
		return errors.New("block_out_channels: empty")
	}
	errs := []error{hfconfig.Positive(map[string]int{
		"in_channels": c.InChannels, "out_channels": c.OutChannels, "cross_attention_dim": c.CrossAttentionDim,
		"norm_num_groups": c.NormNumGroups, "sample_size": c.SampleSize,
	})}
	if c.NumClassEmbeds < 0 {
		errs = append(errs, fmt.Errorf("num_class_embeds: %d: want 1 or more, or null", c.NumClassEmbeds))
	}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DownsamplePadding != 1 {
		bad("downsample_padding: %d is not supported: want 1", c.DownsamplePadding)
	}
	blocks := func(key string, types []string, known ...string) {
		if len(types) != levels {
			bad("%s: %d blocks for %d levels of block_out_channels", key, len(types), levels)
		}
		for _, t := range types {
			if !slices.Contains(known, t) {
				bad("%s: %q is not supported: want %s", key, t, strings.Join(known, " or "))
			}
		}
	}
	blocks("down_block_types", c.DownBlockTypes, crossAttnDown, plainDown)
	blocks("up_block_types", c.UpBlockTypes, crossAttnUp, plainUp)
	errs = append(errs, c.LayersPerBlock.Check("layers_per_block", levels),
		c.TransformerLayers.Check("transformer_layers_per_block", levels),
		c.AttentionHeadDim.Check("attention_head_dim", levels))
	if c.NumAttentionHeads != nil {
		errs = append(errs, c.NumAttentionHeads.Check("num_attention_heads", levels))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, n := range c.BlockOutChannels {
		if n < 1 || c.NormNumGroups < 1 || n%c.NormNumGroups != 0 || n%c.heads(i) != 0 {
			bad("block_out_channels: %d of level %d: want a multiple of norm_num_groups (%d) and of the heads (%d)", n, i,
				c.NormNumGroups, c.heads(i))
		}
	}
	return errors.Join(errs...)
}

// heads is the number of attention heads of a level. diffusers calls it attention_head_dim in the networks of Stable
// Diffusion.
func (c Config) heads(level int) int {
	if c.NumAttentionHeads != nil {
		return c.NumAttentionHeads.At(level)
	}
	return c.AttentionHeadDim.At(level)
}
