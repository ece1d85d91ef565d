// Package stain measures dyes in pictures: it separates the light of a slide into its dyes and sums up how much of one,
// usually DAB, a picture shows. It compares stains, not pixels; pictures needn't be registered. Nuclei are found and scored
// by package nuclei.
//
//	Stains ── separator.go ──▶ Separator (scikit-image's HED, QuPath's H-DAB and H&E, any vectors)
//	pictures ── macenko.go ──▶ Stains, estimated
//	picture ── Separator.Table ── intensity.go ──▶ Intensity: mean, 90th percentile, positive fraction, integrated density
//	                                       └── histogram.go ──▶ Histogram ──▶ KL, JSD
//
// Light has 8 bits, so the logarithms are tables, a dye's concentration in a pixel is the sum of three numbers from them, and
// no value can be infinite or NaN. Concentrations are optical densities to base 10, I = white · 10^(−concentration · vector),
// but for HED, which has scikit-image's scale.
package stain
