package synth

import (
	"math"
	"math/rand/v2"
)

// Vector is a dye's optical density in red, green and blue, of length 1: light I = white · 10^(−concentration ·
// vector).
type Vector [3]float64

// Stain is how one slide turns concentrations of dyes into light.
type Stain struct {
	Haematoxylin Vector `json:"haematoxylin"`
	// Second is eosin on an H&E slide, DAB on an IHC slide.
	Second Vector `json:"second"`
	// White is the light next to the tissue, 0..255.
	White [3]float64 `json:"white"`
}

// Light mixes the dyes by the Beer–Lambert law: concentrations in units of optical density → red, green, blue, 0..255.
func (s Stain) Light(haematoxylin, second float64) [3]float64 {
	var out [3]float64
	for k := range out {
		out[k] = s.White[k] * math.Exp(-math.Ln10*(haematoxylin*s.Haematoxylin[k]+second*s.Second[k]))
	}
	return out
}

// laboratory is the staining and the scanner that a patient's slides went through.
type laboratory struct {
	he, ihc        Stain
	heGain, eoGain float64 // concentration of haematoxylin and eosin on the H&E slide
	counterGain    float64 // of the counterstain on the IHC slide
	dabGain        float64
	background     float64 // DAB everywhere
	blur           float64 // deviation of the point spread function, µm
	sharpening     float64 // of the scanner
	noise          float64 // deviation of the sensor's noise at full light, 0..255
}

// The mean vectors lie between Ruifrok and Johnston's and those of breast slides like MIST's.
func newLaboratory(r *rand.Rand) laboratory {
	return laboratory{
		he: Stain{
			Haematoxylin: jitter(r, Vector{0.600, 0.735, 0.285}, 0.022),
			Second:       jitter(r, Vector{0.235, 0.905, 0.335}, 0.022),
			White:        white(r, [3]float64{240, 236, 240}, 3),
		},
		ihc: Stain{
			Haematoxylin: jitter(r, Vector{0.610, 0.678, 0.385}, 0.02),
			Second:       jitter(r, Vector{0.345, 0.560, 0.755}, 0.02),
			White:        white(r, [3]float64{232, 230, 232}, 4),
		},
		heGain:      normal(r, 1, 0.10),
		eoGain:      normal(r, 1, 0.11),
		counterGain: normal(r, 1, 0.12),
		dabGain:     normal(r, 1, 0.10),
		background:  between(r, 0.015, 0.06),
		blur:        between(r, 0.26, 0.42),
		sharpening:  between(r, 0.4, 1.2),
		noise:       between(r, 0.8, 1.8),
	}
}

func jitter(r *rand.Rand, v Vector, sd float64) Vector {
	n := 0.0
	for k := range v {
		v[k] = max(0.01, v[k]+normal(r, 0, sd))
		n += v[k] * v[k]
	}
	for k := range v {
		v[k] /= math.Sqrt(n)
	}
	return v
}

func white(r *rand.Rand, v [3]float64, sd float64) [3]float64 {
	common := normal(r, 0, sd)
	for k := range v {
		v[k] = min(252, v[k]+common+normal(r, 0, sd/3))
	}
	return v
}
