// Package nuclei finds nuclei in H&E and IHC pictures by classical image processing, without training, and scores how many of
// them DAB stains, by the definitions that pathologists and QuPath use. It doesn't know tumour from stroma: fractions are of
// all nuclei. Its scores compare pictures measured alike, such as a generated one and the real one; they are no diagnosis.
//
//	picture ── detect.go: optical density ── blur.go ──▶ denser than its surroundings: mask
//	                                             └────▶ difference of Gaussians at the size of nuclei
//	        ── watershed.go: the mask split at its peaks ──▶ Detection: label mask, and Nuclei with place, area, DAB
//	Detection ── scores.go ──▶ Ki-67 index, H-score, Allred score
//	two Detections ── overlap.go: Dice
//
// The way is that of QuPath's watershed cell detection (Bankhead et al., Sci. Rep. 7, 2017), with a difference of
// Gaussians for its Laplacian and a wide Gaussian for its background by morphological reconstruction.
package nuclei
