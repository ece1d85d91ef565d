package evaluate

import "strings"

// definitions says in a sentence what a metric is, by the beginning of its ID; docs/evaluation.md has more, with sources.
var definitions = []struct{ id, text string }{
	{"ssim", "Mean structural similarity of each pair: scikit-image's, 7×7 windows, the three colour channels averaged."},
	{"psnr", "Peak signal-to-noise ratio of each pair over all pixels and channels, peak 255."},
	{"fid", "Fréchet distance of the features of pytorch-fid's Inception v3 (2048): depends on the number of pictures."},
	{"kid_full", "Unbiased kernel distance (cubic polynomial) of torchvision's Inception v3 features over all pictures; may be below 0."},
	{"kid", "Unbiased kernel distance (cubic polynomial) of torchvision's Inception v3 features, averaged over random subsets; may be below 0."},
	{"phv_", "Part of the channels of a ResNet-50 layer whose means differ by more than the threshold, with the input convention of the paper's script."},
	{"retrieval_gigapath", "Molecular retrieval accuracy: part of the virtual pictures whose own real picture is among the k nearest of all by cosine similarity of Prov-GigaPath's features."},
	{"retrieval_", "As molecular retrieval accuracy, with the features of another network: not comparable with the paper's."},
	{"dab_mean", "Mean optical density of DAB over all pixels of a picture."},
	{"dab90_hed", "As DAB90, with scikit-image's HED matrix and its unit, about a sixth of an optical density."},
	{"dab90", "Mean optical density of DAB of the pixels at or above the picture's 90th percentile: how strong the stain is where it is strongest."},
	{"positive_area", "Part of a picture's pixels whose optical density of DAB reaches the threshold."},
	{"iod", "Sum of the optical density of DAB over the positive pixels; the ratio is that of the sums over all pictures."},
	{"dab_jsd_pooled", "Jensen–Shannon divergence of the DAB histograms of all pixels of both sets: 0 equal, 1 disjoint."},
	{"dab_jsd", "Jensen–Shannon divergence of the DAB histograms of each pair: 0 equal, 1 disjoint."},
	{"dab_kl", "Kullback–Leibler divergence of the virtual picture's DAB histogram from the real one's, smoothed by half a pixel a bin."},
	{"nuclei_dice", "Overlap of the pixels inside nuclei in both pictures of a pair; it needs pictures that are registered."},
	{"nuclei", "Nuclei found in a square millimetre, tumour and stroma alike."},
	{"ki67_index", "Percentage of all nuclei found whose mean DAB reaches QuPath's threshold of 1+; for Ki67 this is the Ki67 index."},
	{"hscore", "1 × % weak + 2 × % moderate + 3 × % strong nuclei by QuPath's thresholds."},
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
