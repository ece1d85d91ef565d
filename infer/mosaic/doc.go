// Package mosaic translates images that are larger than a network's window, or than memory: whole slides.
//
// A slide is one image to the sampler. Its latents are one array, of which the U-Net sees overlapping windows: in each
// step their outputs are blended with smooth weights, and the solver takes all latents one step (Bar-Tal et al.,
// MultiDiffusion, 2023; the weights as in Jiménez, Mixture of Diffusers, 2023). Noise is a function of the place, and
// what the method standardises over an image is standardised over the slide.
//
//	Source ─ windows ─ encoder, Phikon ─▶ latents of a region ─ invert ─ standardise ─ translate ─▶ file ─┐
//	Sink ◀─ rows ◀─ file of pixels ◀─ blended ◀─ decoder ◀─ windows ◀─ latents, regions blended ◀─────────┘
//
// A slide larger than memory is divided into regions, which overlap by one window. Each one's latents are a file in a
// folder, and so are the pixels that it alone owns, decoded from its own and its neighbours' latents. A run that is
// interrupted goes on with the next file and ends with the same bytes: nothing depends on the order of work.
//
//	settings.go   options that change the result
//	axis.go       windows along one axis, and their weights
//	plan.go       a slide's windows and regions
//	cost.go       what a run takes: Plan; overlaps that are affordable
//	mask.go       what is translated
//	area.go       the same, of a file
//	source.go     where pixels come from and go to
//	sample.go     the sampler of one region
//	decode.go     latents → pixels
//	translate.go  the whole run: Translate
//	pieces.go     its pieces, which several processes may share
//	file.go       slides and images to OME-TIFF: TranslateFile, PlanFile
//	folder.go     many slides: TranslateFiles
//	input.go      how they are opened; output.go how they are written
//	preview.go    a smaller stain before the work
//	measure.go    how fast a device is
//	store.go      finished parts
//	strips.go     their pixels
package mosaic
