package inception

import (
	"fmt"

	"github.com/histdist/histdist/internal/interpolate"
)

// Preprocess makes the network's pixels from an image of any size, as pytorch_fid's InceptionV3 does with resize_input
// and normalize_input, and the KID of the official evaluation: rgb uint8 [height,width,3] → rgb/255, resized to 299×299
// bilinearly and without antialiasing, times 2, less 1.
func Preprocess(rgb []uint8, width, height int) ([]float32, error) {
	var unit [256]float32
	for grey := range unit {
		unit[grey] = float32(grey) / 255
	}
	pixels, err := interpolate.Bilinear(rgb, width, height, Side, Side, &unit)
	if err != nil {
		return nil, fmt.Errorf("preprocess an image for inception: %w", err)
	}
	for i, v := range pixels {
		pixels[i] = 2*v - 1
	}
	return pixels, nil
}
