// Package train fine-tunes the U-Net as HistDiST's training.py does: micro-steps generate H&E and translate H&E to IHC
// in turn. The same loop trains an autoencoder, for models trained from scratch. The package knows nothing of the
// command line, of YAML and of image files.
//
// The way of a value through one optimisation step:
//
//	BatchSource ─ Batch ─▶ Frozen ─ Example: latents, condition, context ─┐
//	                         rng.Torch ─ Draws: noise, timesteps ─────────┤
//	                                                                      ▼
//	  Accumulate micro-steps of    Trainer.Accumulate: noisy latents → U-Net → loss → gradients, added up in memory
//	                               Trainer.Update:     norm → clipping → AdamW → moving average, parameters in place
//	                                                                      │
//	                          Run: events, metrics; checkpoint-STEP/ ◀────┘          Export: a diffusers folder
//
// An autoencoder's examples are the images themselves (Images), and its network is encoder, sample and decoder in one
// graph. An objective holds what differs between networks.
//
// A run that is stopped at any moment, by a signal, a power cut or a full disk, resumes from its last checkpoint and
// ends with the bytes of an uninterrupted run, on the same device with the same number of threads. Elsewhere it is
// refused unless changes are accepted.
//
//	config.go       options of a run, with the paper's values
//	lr.go           learning-rate schedules
//	objective.go    what differs between networks under training
//	diffusion.go    the objective of the U-Net; autoencoder.go: of the autoencoder
//	endtoend.go     the objective of a U-Net for one step, by the image that the decoder makes
//	texture.go      how far images are from others in their local texture
//	task.go         which of the two tasks a micro-step learns
//	noise.go        what a micro-step draws, the U-Net's input and its target
//	trainer.go      Trainer: a network under training and its programs
//	step.go         gradients of micro-steps; update.go: the optimisation step
//	adapter.go      low-rank additions that are trained instead of the weights
//	state.go        the memory of parameters, gradients and moments
//	ema.go          the moving average of the parameters
//	run.go          Run; loop.go: its steps; notfinite.go: steps that are skipped
//	ahead.go        micro-steps' examples, drawn while a GPU works
//	parallel.go     several devices, of this process and of others, that share a step's micro-steps
//	shard.go        devices that share the optimiser's moments
//	checkpoint.go   checkpoints on disk; manifest.go: their checksums
//	resume.go       which checkpoint a run goes on from, and whether it may
//	lock.go         one run per folder
//	validate.go     the loss on fixed examples with fixed noise
//	events.go       what a run reports to its observer
//	metrics.go      the numbers of a step, in metrics.jsonl
//	tensorboard.go  event files for TensorBoard
//	cost.go         what training takes: memory, operations, time
//	frozen.go       the networks that aren't trained: images → latents and contexts
//	latents.go      statistics of an autoencoder's latents, so that the export can scale them
//	export.go       a checkpoint as a model's folder
package train
