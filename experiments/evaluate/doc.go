// Package evaluate turns two folders of pictures, real and virtual IHC stains of the same tissue, into results: every metric of the paper in
// its exact variant, measures of the stain, how sure each number is, and beside it what a copy of the H&E and what real stains among
// themselves would get. Pictures of the report are package report's; the metrics themselves are in experiments/metrics.
//
//	translate.go H&E pictures ──▶ virtual ones, where a model is given
//	pairs.go     two or three folders ──▶ Pairs, by stem;  train.go: what a training had of them
//	measure.go   pairs, in parallel ──▶ the measures of each;  image.go: those of an image alone
//	network.go   pictures, in batches ──▶ features of a network
//	   both keep what they computed in cache.go: a file, by the hash of the picture's file, the settings and the weights
//	table.go     one row a pair, one column a measure: images.csv
//	summary.go   columns ──▶ Metrics with intervals (experiments/metrics/stats), drawn by what units.go says
//	   distances.go of features: FID, KID, PHV, retrieval;  stains.go of DAB and nuclei, in the colours of vectors.go
//	compare.go   two tables ──▶ paired tests
//	results.go   Results: results.json;  text.go: as a table for terminals and for Markdown;  definitions.go: what each metric is
//	settings.go  what results depend on;  number.go: numbers that JSON can hold
//	run.go       Run: all of this in order;  finish.go: counts, hashes, warnings, files
//
// Memory does not grow with the number of pictures but by what a row takes: names, hashes and some sixty numbers, some 2 KB a pair. Pictures
// are decoded a few at a time; features go to the cache's file and are read back when a metric needs them: one by one for FID, a subset at a
// time for KID. Retrieval compares all with all and holds the features of both sets while it does, 12 KB a pair with GigaPath.
package evaluate
