// Package data finds pairs of H&E and IHC pictures, checks and divides them, and feeds them to the training: paired crops,
// flipped and turned alike, as batches. It reads files through data/imagefile; it neither downloads data nor resizes pictures.
//
//	Location ── layout.go, csvlist.go: pairs by stem; name.go: slides, grades ──▶ pairs, orphans
//	         ── open.go (headers) ──▶ Dataset, or an error with every problem (problems.go)
//	Dataset  ── loader.go: order.go (which), cache.go (pictures), augment.go (crop, flip, rotation) ──▶ Batch
//	         ── stream.go ──▶ batches made ahead, for the training
//	Location ── check.go ──▶ Report
//	pairs    ── split.go ──▶ two parts that share no patient
//
// Order and crops are a pure function of seed, epoch and place (draw.go), so any step can be repeated alone, by any number of
// workers.
package data
