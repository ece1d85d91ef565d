// Package unet is the dual-conditioned U-Net: diffusers' UNet2DConditionModel as Stable Diffusion 1.x and 2.x have it.
// It predicts velocity or noise, as the schedule asks, from noisy latents concatenated with the condition's latents
// in the channels, the timestep, and a context of tokens (text or image features) in the cross-attention.
//
//	sample ─ conv_in ─ down_blocks ─ mid_block ─ up_blocks ─ conv_norm_out, SiLU ─ conv_out
//	                     │    └───── skips ─────────┘
//	timesteps ─ time_proj ─ time_embedding ─ every resnet;  context ─ every transformer
//
//	config.go    config.json
//	perlevel.go  its numbers that may differ from level to level
//	unet.go      the network
//	widen.go     more input channels for a network that was trained with fewer
//
// The package makes nodes. Values of parameters come from graph/weights, and graph/vm runs the graph.
package unet
