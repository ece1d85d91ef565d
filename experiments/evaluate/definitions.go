package evaluate

import "strings"

// definitions are one-sentence definitions of metrics by prefixes of their IDs; docs/evaluation.md has more, with
// sources.
var definitions = []struct{ id, text string }{
	{"ssim", "Mean structural similarity of each pair: scikit-image's, 7×7 windows, the three colour channels averaged."},
	{"psnr", "Peak signal-to-noise ratio of each pair over all pixels and channels, peak 255."},
	{"sharpness", "Variance of the Laplacian of the luma, the ratio of sums over all images: blur below 1, noise above."},
	{"fine_power", "Variance of the luma in details below 4 pixels: the spectrum above half of Nyquist's frequency."},
	{"fid", "Fréchet distance of the features of pytorch-fid's Inception v3 (2048): depends on the number of images."},
	{"kid_full", "Unbiased kernel distance (cubic polynomial) of torchvision's Inception v3 features; may be below 0."},
	{"kid", "Kernel distance as for KID over all images, averaged over random subsets."},
	{"phv_", "Fraction of ResNet-50 channels whose means differ by more than the threshold, as in the paper's script."},
	{"retrieval_gigapath", "Fraction of virtual images whose real one is among the k nearest by GigaPath's features."},
	{"retrieval_", "Like MRA, with another network's features: not comparable with the paper's."},
	{"dab_mean", "Mean optical density of DAB over all pixels of an image."},
	{"dab90_hed", "As DAB90, with scikit-image's HED matrix and its unit, about a sixth of an optical density."},
	{"dab90", "Mean optical density of DAB of the pixels at or above the image's 90th percentile: the strongest stain."},
	{"positive_area", "Part of an image's pixels whose optical density of DAB reaches the threshold."},
	{"iod", "Sum of the optical density of DAB over positive pixels; the ratio is of the sums over all images."},
	{"dab_jsd_pooled", "Jensen–Shannon divergence of the DAB histograms of all pixels of both sets: 0 equal, 1 disjoint."},
	{"dab_jsd", "Jensen–Shannon divergence of the DAB histograms of each pair: 0 equal, 1 disjoint."},
	{"dab_kl", "Kullback–Leibler divergence of virtual from real DAB histograms, smoothed by half a pixel per bin."},
	{"nuclei_dice", "Overlap of the nuclei's pixels in both images of a pair, which must be registered."},
	{"nuclei", "Nuclei found in a square millimetre, tumour and stroma alike."},
	{"ki67_index", "Percentage of nuclei whose mean DAB reaches QuPath's threshold of 1+; the Ki67 index, for Ki67."},
	{"hscore", "1 × % weak + 2 × % moderate + 3 × % strong nuclei by QuPath's thresholds."},
	{"membrane_share", "Percentage of cells whose membrane is stained in three quarters of the directions or more."},
	{"membrane_score", "Highest of 0 to 3+ that over 10 % of the cells have, by completeness and density of membranes."},
	{"seam_", "Jump across borders of tiles over that across other lines, over the same of the H&E or real image."},
	{"allred", "Proportion score (0–5) plus intensity score (0–3) of the nuclei, with QuPath's rounding."},
}

// definition of a metric.
func definition(id string) string {
	for _, d := range definitions {
		if strings.HasPrefix(id, d.id) {
			return d.text
		}
	}
	return ""
}
