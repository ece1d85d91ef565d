package stain

import "github.com/histdist/histdist/data/imagefile"

// EstimateWhite returns the light beside the tissue: in each channel the 99th percentile over all pixels of the pictures. It
// supposes that a hundredth of them shows glass or next to nothing; where tissue fills everything, the palest tissue passes for
// white, and densities are of what it has less. No pictures give 255.
func EstimateWhite(pictures ...*imagefile.Image) ([3]float64, error) {
	white := [3]float64{255, 255, 255}
	var counts [3][256]int
	pixels := 0
	for _, img := range pictures {
		if err := check(img); err != nil {
			return white, err
		}
		for i := 0; i+2 < len(img.Pix); i += 3 {
			counts[0][img.Pix[i]]++
			counts[1][img.Pix[i+1]]++
			counts[2][img.Pix[i+2]]++
		}
		pixels += len(img.Pix) / 3
	}
	for c := range counts {
		for v, above := 255, 0; v > 0; v-- {
			if above += counts[c][v]; 100*above >= pixels {
				white[c] = float64(v)
				break
			}
			white[c] = 1 // black pictures
		}
	}
	return white, nil
}
