package resnet

// PreprocessPHV makes the pixels that the official evaluation's perceptual hash value feeds: rgb uint8 [H,W,3] →
// float32 [H,W,3], normalised with ImageNet's mean and deviation. Its images are rgb/255, in [0,1], but it takes them
// for [−1,1], so (x+1)/2 in place of x: the network sees brighter, paler images than it is given.
func PreprocessPHV(rgb []uint8) []float32 {
	mean, std := [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	var value [3][256]float32
	for c := range value {
		for grey := range value[c] {
			value[c][grey] = ((float32(grey)/255+1)/2 - mean[c]) / std[c]
		}
	}
	out := make([]float32, len(rgb))
	for i, grey := range rgb {
		out[i] = value[i%3][grey]
	}
	return out
}
