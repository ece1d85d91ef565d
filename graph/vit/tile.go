package vit

import (
	"fmt"
	"math"

	"github.com/histdist/histdist/internal/pillow"
)

const (
	tileResize = 256 // pixels of the shorter side
	tileCrop   = 224
	// tileLongest bounds the longer side, so that a line of pixels can't ask for all memory.
	tileLongest = 1 << 15
)

// PreprocessTile makes GigaPath's pixels from an image, as its authors and the official evaluation do with
// torchvision's transforms Resize(256, bicubic), CenterCrop(224), ToTensor and Normalize: rgb uint8 [height,width,3] →
// float32 [224,224,3]. Pillow resizes, so the shorter side becomes 256 pixels with antialiasing, and what is beyond
// the middle 224 is cut off.
func PreprocessTile(rgb []uint8, width, height int) ([]float32, error) {
	cropped, err := cropTile(rgb, width, height)
	if err != nil {
		return nil, fmt.Errorf("preprocess a tile: %w", err)
	}
	mean, std := [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	pixels := make([]float32, len(cropped))
	for i, grey := range cropped {
		pixels[i] = (float32(grey)/255 - mean[i%3]) / std[i%3]
	}
	return pixels, nil
}

// cropTile resizes and crops: uint8 [224,224,3].
func cropTile(rgb []uint8, width, height int) ([]uint8, error) {
	w, h := width, height
	switch { // torchvision cuts the longer side to whole pixels
	case width < 1 || height < 1:
	case width <= height:
		w, h = tileResize, int(float64(tileResize)*float64(height)/float64(width))
	default:
		w, h = int(float64(tileResize)*float64(width)/float64(height)), tileResize
	}
	if max(w, h) > tileLongest {
		return nil, fmt.Errorf("%d×%d pixels are too long and thin: want at most %d:1", width, height, tileLongest/tileResize)
	}
	resized, err := pillow.Resize(pillow.Image{Pix: rgb, Width: width, Height: height, Channels: 3}, w, h, pillow.Bicubic)
	if err != nil {
		return nil, err
	}
	top, left := int(math.RoundToEven(float64(h-tileCrop)/2)), int(math.RoundToEven(float64(w-tileCrop)/2))
	out := make([]uint8, 0, tileCrop*tileCrop*3)
	for y := range tileCrop {
		out = append(out, resized.Pix[((top+y)*w+left)*3:][:tileCrop*3]...)
	}
	return out, nil
}
