package resnet

// Preprocess makes the network's pixels from an image of its own size: rgb uint8 [H,W,3] → float32 [H,W,3], less ImageNet's mean and
// divided by its deviation, as torchvision's transforms ToTensor and Normalize do.
func Preprocess(rgb []uint8) []float32 {
	return normalised(rgb, func(unit float32) float32 { return unit })
}

// PreprocessPHV is what the official evaluation's perceptual hash value feeds: its images are rgb/255, in [0,1], and its network takes
// them for [−1,1], hence (x+1)/2 in the place of x. All images look brighter and paler to the network than they are.
func PreprocessPHV(rgb []uint8) []float32 {
	return normalised(rgb, func(unit float32) float32 { return (unit + 1) / 2 })
}

func normalised(rgb []uint8, as func(unit float32) float32) []float32 {
	mean, std := [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	var value [3][256]float32
	for c := range value {
		for grey := range value[c] {
			value[c][grey] = (as(float32(grey)/255) - mean[c]) / std[c]
		}
	}
	out := make([]float32, len(rgb))
	for i, grey := range rgb {
		out[i] = value[i%3][grey]
	}
	return out
}
