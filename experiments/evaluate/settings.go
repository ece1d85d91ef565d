package evaluate

import (
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
)

// Vectors names the colours by which the stains are separated.
type Vectors string

// The choices of vectors.
const (
	QuPath  Vectors = "qupath"  // QuPath's default vectors of haematoxylin and DAB
	Macenko Vectors = "macenko" // the median of the estimates from real images
)

// macenkoImages is the number of real images, the first by name, that the vectors are estimated from.
const macenkoImages = 64

// Settings are what results depend on in addition to the images and the networks' weights.
type Settings struct {
	ICC     imagefile.ICC `json:"icc" usage:"colour profiles of images: apply (convert to sRGB) or ignore (take the numbers as sRGB)"`
	Vectors Vectors       `json:"vectors" want:"qupath or macenko" usage:"colours of haematoxylin and DAB: qupath (its defaults), or macenko (estimated from real images)"`

	PositiveDAB  float64       `json:"positive_dab" key:"positive-dab" want:"above 0, below 3" usage:"optical density from which DAB is positive"`
	MPP          float64       `json:"mpp" want:"0.1 to 2" usage:"micrometres per pixel, for nuclei"`
	NucleiSignal nuclei.Signal `json:"nuclei_signal" key:"nuclei-signal" want:"red or haematoxylin" usage:"what nuclei stand out in: red (nuclear markers) or haematoxylin (membrane markers, such as HER2)"`
	PHVThreshold float64       `json:"phv_threshold" key:"phv-threshold" want:"above 0" usage:"difference of a channel's means from which it counts"`

	Seams int `json:"seams,omitempty" key:"seams" want:"0 or more" usage:"side in pixels of the tiles that virtual images were made of, to measure their seams; 0: they are not measured"`

	// Subsets, resamples and flips are bounded by the memory and time that a computer has.
	KIDSubsets    int `json:"kid_subsets" key:"kid-subsets" want:"1 to 1000000" usage:"number of subsets that KID is averaged over"`
	KIDSubsetSize int `json:"kid_subset_size" key:"kid-subset-size" want:"3 or more" usage:"images of a subset, at most as many as there are"`

	Level     float64 `json:"level" want:"above 0, below 1" usage:"level of confidence intervals, such as 0.95"`
	Resamples int     `json:"resamples" want:"100 to 1000000" usage:"number of bootstrap resamples"`
	Flips     int     `json:"flips" want:"100 to 1000000" usage:"random sign flips in a paired test"`
	Seed      uint32  `json:"seed" want:"0 to 4294967295" usage:"seed of everything random: resamples, subsets, halves"`
}

// DefaultSettings returns the paper's where it has any.
func DefaultSettings() Settings {
	return Settings{
		Vectors: QuPath, PositiveDAB: stain.PositiveDAB, MPP: 0.5, NucleiSignal: nuclei.RedDensity,
		PHVThreshold: metrics.PHVThreshold, KIDSubsets: 100, KIDSubsetSize: 100, Level: 0.95, Resamples: 2000, Flips: 10000,
	}
}

// read says how images are read.
func (s Settings) read() imagefile.Options { return imagefile.Options{ICC: s.ICC} }

// Validate reports everything that is wrong with the settings, as option.KeyErrors.
func (s Settings) Validate() error { return option.Check(s) }
