// Package data finds pairs of H&E and IHC images, checks and splits them, and feeds paired crops, flipped and rotated
// alike, to training as batches. It reads files through data/imagefile; it neither downloads nor resizes.
//
//	Location ── layout.go, csvlist.go: pairs by stem; name.go: slides, grades ──▶ pairs, orphans
//	         ── open.go (headers) ──▶ Dataset, or an error with every problem (problems.go)
//	Dataset  ── loader.go: draw.go (which), cache.go (images), augment.go (crop, flip, rotation) ──▶ Batch
//	         ── stream.go ──▶ batches made ahead, for the training
//	Location ── check.go ──▶ Report
//	pairs    ── split.go ──▶ two parts that share no patient
//
// Order and crops depend on seed, epoch and place alone (draw.go), so any step can be repeated by any number of
// workers.
package data
