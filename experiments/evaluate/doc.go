// Package evaluate compares real and virtual IHC stains of the same tissue: every metric of the paper in its exact
// variant and measures of the stain, with intervals, and next to each what a copy of the H&E (the floor) and other real
// stains (the ceiling) get. Package report draws the results; the metrics are in experiments/metrics.
//
//	translate.go H&E images ──▶ virtual stains, if a model is given
//	pairs.go     two or three folders ──▶ Matches, by stem;  leakage.go: what the training had of them
//	measure.go   pairs, in parallel ──▶ the measures of each
//	   image.go lists those of an image, pair.go those of two
//	network.go   images, in batches ──▶ features of a network
//	   both keep what they computed in cache.go: a file, by the hash of the image's file, the settings and the weights
//	   group.go says which pairs go through it together;  share.go: with other processes, each groups of its own
//	table.go     one row a pair, one column a measure: images.csv
//	summary.go   columns ──▶ Metrics with intervals (experiments/metrics/stats), drawn as resampling.go says
//	   distances.go of features: FID, KID, PHV, retrieval;  stains.go of DAB and nuclei, in the colours of vectors.go
//	compare.go   two tables ──▶ paired tests
//	results.go   Results: results.json;  text.go: tables for terminals and Markdown;  definitions.go: what each metric is
//	settings.go  what results depend on;  number.go: numbers that JSON can hold
//	run.go       Run: all of this in order;  finish.go: counts, hashes, warnings, files
//
// Memory grows only by the table's rows, about 2 KB a pair. Images are decoded a few at a time; features are written to
// the cache and read back when a metric needs them, one by one for FID, a subset at a time for KID. Retrieval holds the
// features of both sets, 12 KB a pair with GigaPath.
package evaluate
