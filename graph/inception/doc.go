// Package inception is Inception v3 as a feature extractor (Szegedy et al. 2016, "Rethinking the Inception architecture
// for computer vision"): up to the global average pool, in the two variants that scores of images are computed with.
//
//	pixels [N,299,299,3] in [−1,1] ─ Conv2d_1a … 2b ─ pool ─ Conv2d_3b, 4a ─ pool
//	─ Mixed_5b … 6e ─ Mixed_7a … 7c ─ mean ─ [N,2048]
//
//	inception.go   variants, the network
//	mixed.go       the five kinds of Mixed blocks
//	preprocess.go  image → pixels
//	files.go       the published files: names that the network does not use
//
// It is for inference alone: BatchNorm is folded into the convolutions (nn.Folds). The classifier and the auxiliary
// head are left out.
package inception
