package vae

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/histdist/histdist/internal/hfconfig"
)

// Config is the config.json of diffusers' AutoencoderKL. In the comments: Stable Diffusion
// 1.5's.
type Config struct {
	InChannels           int      `json:"in_channels"`             // 3
	OutChannels          int      `json:"out_channels"`            // 3
	LatentChannels       int      `json:"latent_channels"`         // 4
	BlockOutChannels     []int    `json:"block_out_channels"`      // [128 256 512 512]
	DownBlockTypes       []string `json:"down_block_types"`        // DownEncoderBlock2D ×4
	UpBlockTypes         []string `json:"up_block_types"`          // UpDecoderBlock2D ×4
	LayersPerBlock       int      `json:"layers_per_block"`        // 2
	NormNumGroups        int      `json:"norm_num_groups"`         // 32
	MidBlockAddAttention bool     `json:"mid_block_add_attention"` // true
	UseQuantConv         bool     `json:"use_quant_conv"`          // true
	UsePostQuantConv     bool     `json:"use_post_quant_conv"`     // true
	SampleSize           int      `json:"sample_size"`             // 512
	ScalingFactor        float64  `json:"scaling_factor"`          // 0.18215
}

const (
	downBlock = "DownEncoderBlock2D"
	upBlock   = "UpDecoderBlock2D"
)

// fixed are the keys that diffusers knows and of which only one kind of network is built.
var fixed = hfconfig.Fixed{
	"_class_name":  {"AutoencoderKL"},
	"act_fn":       {"silu", "swish"},
	"latents_mean": {nil},
	"latents_std":  {nil},
	"shift_factor": {nil, 0},
}

// defaults are diffusers' for keys that a file leaves out.
func defaults() Config {
	return Config{
		InChannels: 3, OutChannels: 3, LatentChannels: 4, BlockOutChannels: []int{64},
		DownBlockTypes: []string{downBlock}, UpBlockTypes: []string{upBlock}, LayersPerBlock: 1, NormNumGroups: 32,
		MidBlockAddAttention: true, UseQuantConv: true, UsePostQuantConv: true, SampleSize: 32, ScalingFactor: 0.18215,
	}
}

// SD15 is Stable Diffusion 1.5's autoencoder: 83,653,863 parameters.
func SD15() Config {
	c := defaults()
	c.BlockOutChannels = []int{128, 256, 512, 512}
	c.DownBlockTypes = slices.Repeat([]string{downBlock}, 4)
	c.UpBlockTypes = slices.Repeat([]string{upBlock}, 4)
	c.LayersPerBlock, c.SampleSize = 2, 512
	return c
}

// ReadConfig reads a config.json. A network that isn't built here is refused with the key that says so.
func ReadConfig(path string) (Config, error) { return hfconfig.Load(path, defaults(), fixed) }

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	errs := []error{hfconfig.Positive(map[string]int{
		"in_channels": c.InChannels, "out_channels": c.OutChannels, "latent_channels": c.LatentChannels,
		"layers_per_block": c.LayersPerBlock, "norm_num_groups": c.NormNumGroups,
		"block_out_channels: levels": len(c.BlockOutChannels),
	})}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, b := range []struct {
		key, want string
		types     []string
	}{{"down_block_types", downBlock, c.DownBlockTypes}, {"up_block_types", upBlock, c.UpBlockTypes}} {
		if len(b.types) != len(c.BlockOutChannels) ||
			slices.ContainsFunc(b.types, func(t string) bool { return t != b.want }) {
			bad("%s: %v is not supported: want %s for each of %d levels", b.key, b.types, b.want, len(c.BlockOutChannels))
		}
	}
	for _, n := range c.BlockOutChannels {
		if c.NormNumGroups > 0 && (n < 1 || n%c.NormNumGroups != 0) {
			bad("block_out_channels: %d: want a multiple of norm_num_groups (%d)", n, c.NormNumGroups)
		}
	}
	if !(c.ScalingFactor > 0) {
		bad("scaling_factor: %v: want more than 0", c.ScalingFactor)
	}
	return errors.Join(errs...)
}

// Factor is how many pixels one latent covers in each direction: 8 with four levels.
func (c Config) Factor() int { return 1 << (len(c.BlockOutChannels) - 1) }

// Rename turns the names that files older than diffusers 0.12 have for the attention's parameters into today's.
func Rename(name string) string {
	if !strings.Contains(name, ".mid_block.attentions.") {
		return name
	}
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name
	}
	for old, today := range map[string]string{"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"} {
		if before, ok := strings.CutSuffix(name[:dot], "."+old); ok {
			return before + "." + today + name[dot:]
		}
	}
	return name
}

// IsDecoder reports whether the parameter of that name belongs to the decoder.
func IsDecoder(name string) bool {
	return strings.HasPrefix(name, "decoder.") || strings.HasPrefix(name, "post_quant_conv.")
}
