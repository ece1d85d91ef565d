// Package data finds pairs of H&E and IHC images, checks and splits them, and feeds paired crops, flipped and rotated
// alike, to training as batches. It reads files through data/imagefile; it neither downloads nor resizes.
//
//	Location ── layout.go (suffix.go) or csvlist.go (csvtable.go): pairs; name.go: slides, grades ──▶ pairs, orphans
//	         ── where there are few: hint.go, detect.go: how the location might be read instead
//	         ── open.go (headers) ──▶ Dataset, or an error with every problem (problems.go, group.go)
//	Dataset  ── loader.go: draw.go (which), cache.go (images), augment.go (crop, flip, rotation) ──▶ Batch
//	         ── stream.go ──▶ batches made ahead, for the training
//	Location ── check.go ──▶ Report
//	Dataset  ── share.go: several sets in one, each with its part of an epoch ──▶ loader.go
//	pairs    ── split.go ──▶ two parts that share no patient
//
// pair.go has a pair, skipped.go what could not be read, fingerprint.go recognises replaced files.
//
// Order and crops depend on seed, epoch and place alone (draw.go), so any step can be repeated by any number of
// workers.
package data
