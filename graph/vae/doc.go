// Package vae is the autoencoder between images and latents: diffusers' AutoencoderKL (Rombach et al. 2022, section
// 3.1). An image of H×W pixels becomes latents of H/8×W/8 with four channels, in two steps: the network gives the
// moments of a normal distribution, and a latent is drawn from it, or is its mode.
//
//	image ─ encoder ─ quant_conv ─ moments ─┬─ mode (the condition of the translation, not scaled)
//	                                        └─ sample ─ × scaling_factor: what is diffused
//	latents ÷ scaling_factor ─ post_quant_conv ─ decoder ─ image
//
//	config.go     config.json, names of old files
//	vae.go        the two networks
//	posterior.go  moments → sample
//	pixels.go     8-bit values ↔ what the networks take
package vae
