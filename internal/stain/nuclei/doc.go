// Package nuclei finds nuclei in H&E and IHC images by classical image processing and scores how many of them DAB
// stains, by the definitions that pathologists and QuPath use. It can't tell tumour from stroma: fractions are of all
// nuclei. Its scores compare images measured alike, such as a generated and the real one; they are no diagnosis.
//
//	image ── detect.go: optical density ── blur.go ──▶ denser than its surroundings: mask
//	                                             └────▶ difference of Gaussians at the size of nuclei
//	        ── watershed.go: the mask split at its peaks ──▶ Detection: label mask, and Nuclei with place, area, DAB
//	Detection ── scores.go ──▶ Ki-67 index, H-score, Allred score
//	two Detections ── overlap.go: Dice
//
// The method is QuPath's watershed cell detection (Bankhead et al., Sci. Rep. 7, 2017), with a difference of Gaussians
// for its Laplacian and a wide Gaussian for its background by morphological reconstruction.
package nuclei
