// Package infer translates H&E images into virtual IHC stains: HistDiST's sampler, equal to the official implementation.
//
//	image ─ VAE encoder ─┬─ sample × 0.18215 ─ invert ─ standardise ─ translate ─ ÷ scaling_factor ─ VAE decoder ─ picture
//	                     └─ mode ────────────────────────── condition ─┘ │
//	image ─ Phikon ─────────────────────────────────────────── context ──┘        "H&E" ─ CLIP ─ context of invert
//
// A Pipeline is opened once and translates many images; a Folder run walks over files, skips what is done, and goes on after
// a bad one.
//
//	settings.go  what a translation is asked for; the defaults are the paper's
//	pipeline.go  Pipeline: a model on a device
//	programs.go  the compiled networks for one size of images
//	sample.go    the loops: inversion and translation
//	ablation.go  parts of the method that can be left out
//	image.go     pixels ↔ values, padding
//	jobs.go      files: what is to be translated to where
//	current.go   which outputs and panels are there and current
//	folder.go    runs over files
//	panel.go     images side by side
//	record.go    the latents of every step
package infer
