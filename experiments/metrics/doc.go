// Package metrics computes how close generated IHC images are to the real ones, from pixels or from the features that
// experiments/metrics/features extracts. It reads no files and runs no network.
//
//	pixels   ─ pixels.go     structural similarity (SSIM) and peak signal-to-noise ratio (PSNR) of a pair
//	         ─ sharpness.go  variance of the Laplacian, and power of fine detail, of an image
//	features ─ frechet.go    Fréchet inception distance of two sets, from running statistics
//	         ─ kid.go        kernel inception distance of two sets
//	         ─ retrieval.go  does an image find its own partner among all: top-1 and top-3
//	         ─ phv.go        perceptual hash value of a pair, layer by layer
//	features/  networks as feature extractors
//	stain/     optical density of stains
//
// Features are float32, as the networks give them; all arithmetic on them is float64.
package metrics
