// Package model opens the folders in which diffusers and transformers keep a model: configurations, mapped weights, the
// tokenizer, the image preprocessing and the noise schedule. It also checks and converts folders, creates new ones, and
// widens U-Nets.
//
//	folder ─ model_index.json ─ unet/ vae/ text_encoder/ tokenizer/ scheduler/   Open → Model → infer, train
//	                                                                             Inspect → Report
//	                                                                             Convert, Widen → another folder
//
//	network.go      one network's folder: config.json and weights
//	model.go        a pipeline's folder
//	examine.go      the check of a pipeline's folder; inspect.go: what it and the weights show
//	purpose.go      histdist.json: what a model was trained for; preset.go: how it may be sampled
//	convert.go      another folder with other types, shards or format
//	widen.go        a U-Net with more input channels
//	create.go       a new model, untrained; initialise.go: how its weights are drawn
//	rescale.go      an autoencoder whose latents have another scale
//	fingerprint.go  a hash of all that a model's images depend on; digests.go: the weights' part, kept between runs
//	folder.go       copying and editing files of a folder
//	pull.go         downloading models: hub/ knows how, this which folders
package model
