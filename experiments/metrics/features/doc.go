// Package features takes features from images with the networks that scores are computed with: Inception v3 for FID and KID, ResNet-50 for
// PHV, a pathology network for retrieval. It opens the published weight files, prepares images as the official evaluation does, and runs
// the networks in batches; experiments/metrics makes scores of the rows.
//
//	extractor, err := features.Open(features.FIDInception, "", features.Options{Device: device})
//	rows, err := extractor.Extract(ctx, images)     // one row of extractor.Dim() numbers for each image
//	err = extractor.Close()
//
//	imagefile.Image ─ prepare ─ pixels ─ network, compiled for a batch of one size ─ row
//
// Nothing is downloaded: a file that isn't there is an error that says where it comes from.
//
//	kind.go       the networks: their files, their preparation of images, their graphs
//	find.go       where the files are looked for
//	extractor.go  Open, Extract, Close
package features
