// Package features computes the features of images that metrics compare: by Inception v3 for FID and KID, ResNet-50 for
// PHV, a pathology network for retrieval. It opens the published weights, prepares images as the official evaluation
// does, and runs the networks in batches.
//
//	extractor, err := features.Open(features.FIDInception, "", features.Options{Device: device})
//	rows, err := extractor.Extract(ctx, images)     // one row of extractor.Dim() numbers for each image
//	err = extractor.Close()
//
//	imagefile.Image ─ prepare ─ pixels ─ network, compiled for a batch of one size ─ row
//
// Nothing is downloaded; the error for a missing file says where to get it.
//
//	kind.go       the networks: their files, their preparation of images, their graphs
//	find.go       where the files are searched for
//	extractor.go  Open, Extract, Close
package features
