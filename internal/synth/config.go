package synth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/histdist/histdist/internal/claim"
)

// Marker is what the IHC stain shows.
type Marker string

// The markers. ER, PR and Ki-67 stain nuclei, HER2 stains the cell membrane.
const (
	ER   Marker = "er"
	PR   Marker = "pr"
	Ki67 Marker = "ki67"
	HER2 Marker = "her2"
)

// Config says what to make. Default gives a valid one.
type Config struct {
	Pairs        int     `json:"pairs"`         // for training, 0..100000
	ValPairs     int     `json:"val_pairs"`     // for validation, of other patients, 0..100000
	PatientPairs int     `json:"patient_pairs"` // pairs of one patient, 1..1000
	Size         int     `json:"size"`          // side of an image in pixels, 64..2048
	MPP          float64 `json:"mpp"`           // µm per pixel, 0.2..4
	Marker       Marker  `json:"marker"`        // er, pr, ki67 or her2
	Seed         uint64  `json:"seed"`          // each seed is another set of patients
	// Misregistration is the greatest displacement of the IHC against the H&E in pixels, 0..size/8, at most 30 µm.
	Misregistration float64 `json:"misregistration"`
	Quality         int     `json:"quality"` // of the JPEG files, 1..100
	// FirstPatient is the number of the first patient, from 0: sets of one seed with other numbers share no patient.
	FirstPatient int `json:"first_patient,omitempty"`
	Workers      int `json:"-"` // pairs made at the same time, 0: one for each processor

	Shard     claim.Part    `json:"-"` // which of several processes with one folder this is
	DeadAfter time.Duration `json:"-"` // see claim.Options.Silence
}

// Default is a small set of ER pairs at MIST's magnification.
func Default() Config {
	return Config{
		Pairs: 64, ValPairs: 16, PatientPairs: 8,
		Size: 512, MPP: 0.47, Marker: ER, Quality: 92,
	}
}

// maxField keeps the memory of one pair below half a gigabyte.
const maxField = 1100

// Validate reports every field that is out of its range.
func (c Config) Validate() error {
	var errs []error
	inRange := func(field string, v, lo, hi float64) {
		if !(v >= lo && v <= hi) {
			errs = append(errs, fmt.Errorf("%s is %g, must be %g..%g", field, v, lo, hi))
		}
	}
	inRange("pairs", float64(c.Pairs), 0, 100_000)
	inRange("val pairs", float64(c.ValPairs), 0, 100_000)
	inRange("patient pairs", float64(c.PatientPairs), 1, 1000)
	inRange("first patient", float64(c.FirstPatient), 0, 1_000_000)
	inRange("size", float64(c.Size), 64, 2048)
	inRange("mpp", c.MPP, 0.2, 4)
	if !slices.Contains([]Marker{ER, PR, Ki67, HER2}, c.Marker) {
		errs = append(errs, fmt.Errorf("marker is %q, must be er, pr, ki67 or her2", c.Marker))
	}
	inRange("misregistration", c.Misregistration, 0, float64(c.Size)/8)
	inRange("quality", float64(c.Quality), 1, 100)
	inRange("workers", float64(c.Workers), 0, 1024)
	if len(errs) == 0 { // else the products mean nothing
		inRange("size × mpp in µm", float64(c.Size)*c.MPP, 0, maxField)
		inRange("misregistration × mpp in µm", c.Misregistration*c.MPP, 0, margin-6)
	}
	if len(errs) > 0 {
		return fmt.Errorf("synth: %w", errors.Join(errs...))
	}
	return nil
}
