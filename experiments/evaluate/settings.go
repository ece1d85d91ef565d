package evaluate

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/experiments/metrics/stain"
	"github.com/histdist/histdist/experiments/metrics/stain/nuclei"
)

// Vectors says by which colours the stains are separated.
type Vectors string

// The choices of vectors.
const (
	QuPath  Vectors = "qupath"  // QuPath's default vectors of haematoxylin and DAB
	Macenko Vectors = "macenko" // estimated: the median of the estimates from real pictures
)

// macenkoPictures is how many real pictures, the first by name, the vectors are estimated from.
const macenkoPictures = 64

// Settings are what results depend on beside the pictures and the networks' weights.
type Settings struct {
	ICC         imagefile.ICC `json:"icc"` // of the pictures' colour profiles
	Vectors     Vectors       `json:"vectors"`
	PositiveDAB float64       `json:"positive_dab"` // optical density from which on a pixel is positive
	MPP         float64       `json:"mpp"`          // micrometres per pixel, for nuclei
	// NucleiSignal is what nuclei stand out in: red for markers of nuclei, haematoxylin for those of membranes.
	NucleiSignal  nuclei.Signal `json:"nuclei_signal"`
	PHVThreshold  float64       `json:"phv_threshold"`   // difference of a channel's means from which on it counts
	KIDSubsets    int           `json:"kid_subsets"`     // how many are drawn
	KIDSubsetSize int           `json:"kid_subset_size"` // at most; fewer pictures give smaller subsets
	Level         float64       `json:"level"`           // of intervals
	Resamples     int           `json:"resamples"`       // of the bootstrap
	Flips         int           `json:"flips"`           // of signs in a paired test
	Seed          uint32        `json:"seed"`            // of all that is drawn
}

// maxDraws bounds subsets, resamples and flips: more decimals than anybody reads, and memory and time that a computer has.
const maxDraws = 1_000_000

// DefaultSettings are the paper's where it has any.
func DefaultSettings() Settings {
	return Settings{
		Vectors: QuPath, PositiveDAB: stain.PositiveDAB, MPP: 0.5, NucleiSignal: nuclei.RedDensity, PHVThreshold: metrics.PHVThreshold, KIDSubsets: 100, KIDSubsetSize: 100,
		Level: 0.95, Resamples: 2000, Flips: 10000,
	}
}

// read says how pictures are read.
func (s Settings) read() imagefile.Options { return imagefile.Options{ICC: s.ICC} }

// Validate reports everything that is wrong with the settings.
func (s Settings) Validate() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(s.Vectors != QuPath && s.Vectors != Macenko, "vectors: %q: want %s or %s", s.Vectors, QuPath, Macenko)
	wrong(!(s.PositiveDAB > 0 && s.PositiveDAB < 3), "positive-dab: %v: want an optical density above 0, below 3", s.PositiveDAB)
	wrong(!(s.MPP >= 0.1 && s.MPP <= 2), "mpp: %v: want 0.1 to 2 micrometres per pixel", s.MPP)
	wrong(s.NucleiSignal != nuclei.RedDensity && s.NucleiSignal != nuclei.HaematoxylinDensity, "nuclei-signal: %q: want %s or %s",
		s.NucleiSignal, nuclei.RedDensity, nuclei.HaematoxylinDensity)
	wrong(!(s.PHVThreshold > 0), "phv-threshold: %v: want above 0", s.PHVThreshold)
	wrong(s.KIDSubsets < 1 || s.KIDSubsets > maxDraws, "kid-subsets: %d: want 1 to %d", s.KIDSubsets, maxDraws)
	wrong(s.KIDSubsetSize < 3, "kid-subset-size: %d: want 3 or more", s.KIDSubsetSize)
	wrong(!(s.Level > 0 && s.Level < 1), "level: %v: want between 0 and 1, such as 0.95", s.Level)
	wrong(s.Resamples < 100 || s.Resamples > maxDraws, "resamples: %d: want 100 to %d", s.Resamples, maxDraws)
	wrong(s.Flips < 100 || s.Flips > maxDraws, "flips: %d: want 100 to %d", s.Flips, maxDraws)
	return errors.Join(errs...)
}
