// Package infer translates H&E images into virtual IHC stains with HistDiST's sampler, as the official implementation
// does.
//
//	image ─ encoder ─┬─ sample × scaling_factor ─ invert ─ standardise ─ translate ─ ÷ scaling_factor ─ decoder ─ stain
//	                 └─ mode ───────────────────────────────── condition ─┘ │
//	image ─ Phikon ────────────────────────────────────────────── context ──┘        "H&E" ─ CLIP ─ context of invert
//
// A Pipeline is opened once and translates many images. TranslateFiles translates files, skips what is done, and
// continues after a bad image.
//
//	settings.go  options of a translation, with the paper's defaults
//	pipeline.go  Pipeline: a model on a device
//	programs.go  the compiled networks for one size of images
//	windows.go   Windows: the same networks, for package mosaic's sampler of larger images
//	sample.go    the loops: inversion and translation
//	finite.go    outputs that are not finite
//	ablation.go  parts of the method that can be left out
//	image.go     pixels ↔ values, padding
//	jobs.go      files: what is to be translated to where
//	current.go   which outputs and panels are current
//	folder.go    runs over files
//	markers.go   jobs of one image for several markers
//	shard.go     jobs that several processes share
//	panel.go     images side by side
//	record.go    the latents of every step
package infer
