// Package stain separates the light of a slide into its dyes and measures how much of one, usually DAB, an image shows.
// It compares stains, not pixels; images needn't be registered. Package nuclei finds and scores nuclei.
//
//	Stains ── separator.go ──▶ Separator (scikit-image's HED, QuPath's H-DAB and H&E, any vectors)
//	images ── macenko.go ──▶ Stains, estimated
//	image ── Separator.Table ── intensity.go ──▶ Intensity: mean, 90th percentile, positive fraction, integrated density
//	                                       └── histogram.go ──▶ Histogram ──▶ KL, JSD
//	images of two laboratories ── appearance.go ──▶ Match: the one's images in the other's colours
//
// Light has 8 bits, so logarithms are tables, a concentration is the sum of three table entries, and no value is
// infinite or NaN. Concentrations are optical densities to base 10, I = white · 10^(−concentration · vector), except
// for HED, which has scikit-image's scale.
package stain
