package metrics

import "fmt"

// PHVThreshold is the difference of two means from which on the official evaluation counts a channel as different.
const PHVThreshold = 0.01

// PerceptualHashValue returns, for each layer of a network, the part of channels whose means over a generated and its
// real image differ by more than the threshold: 0 is best, 1 worst. It is the PHV of Liu et al. (2021, "Unpaired stain
// transfer using pathology-consistent constrained generative adversarial networks") as the official evaluation computes
// it with ResNet-50.
//
// A row has the channel means of all layers in order; layers has their numbers of channels. Means are compared in
// float32. The value of a set is the mean over its pairs.
func PerceptualHashValue(real, generated []float32, layers []int, threshold float32) ([]float64, error) {
	total := 0
	for i, channels := range layers {
		if channels < 1 {
			return nil, fmt.Errorf("PHV: layer %d of %d channels: want at least 1", i+1, channels)
		}
		total += channels
	}
	if err := checkRow(real, total); err != nil {
		return nil, fmt.Errorf("PHV: real: %w", err)
	}
	if err := checkRow(generated, total); err != nil {
		return nil, fmt.Errorf("PHV: generated: %w", err)
	}
	values := make([]float64, len(layers))
	at := 0
	for i, channels := range layers {
		differ := 0
		for c := at; c < at+channels; c++ {
			if difference := real[c] - generated[c]; difference > threshold || -difference > threshold {
				differ++
			}
		}
		values[i] = float64(differ) / float64(channels)
		at += channels
	}
	return values, nil
}
