package evaluate

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"
)

// Results is what an evaluation found: results.json.
type Results struct {
	Software string    `json:"software"` // histdist and its version
	Created  time.Time `json:"created"`
	Folders  Folders   `json:"folders"`
	Settings Settings  `json:"settings"`
	Counts   Counts    `json:"counts"`
	// Units are what resamples and signs are drawn by.
	Units Units `json:"units"`

	Metrics     []Metric      `json:"metrics"`
	NotComputed []NotComputed `json:"not_computed"`
	Comparison  *Comparison   `json:"comparison,omitempty"`

	Warnings []string  `json:"warnings"`
	Problems []Problem `json:"problems"` // what failed; none where all could be computed
	Missing  []Missing `json:"missing"`  // images without a partner

	Networks   []NetworkUsed `json:"networks"`
	Stains     StainsUsed    `json:"stains"`
	Histograms Histograms    `json:"dab_histograms"`
	Provenance []Statement   `json:"provenance"` // what the virtual images' files say of themselves
}

// Folders are where the images came from.
type Folders struct {
	Real    string `json:"real"`
	Virtual string `json:"fake"`
	HE      string `json:"he,omitempty"`
	Train   string `json:"train,omitempty"`
	// RealHash, VirtualHash and HEHash are SHA-256 over the images' names and hashes.
	RealHash    string `json:"real_sha256"`
	VirtualHash string `json:"fake_sha256"`
	HEHash      string `json:"he_sha256,omitempty"`
}

// Counts say how much there was.
type Counts struct {
	Pairs    int            `json:"pairs"`
	HE       int            `json:"he"`       // pairs with an H&E image
	Patients int            `json:"patients"` // 0 if unknown
	Sizes    map[string]int `json:"sizes"`    // of the real images, width × height
}

// Units are what is resampled as a whole.
type Units struct {
	By    string `json:"by"` // patient or image
	Count int    `json:"count"`
	Why   string `json:"why,omitempty"` // not by patient
}

// Metric is one line of the results.
type Metric struct {
	ID       string `json:"id"`
	Group    string `json:"group"`
	Name     string `json:"name"`
	Unit     string `json:"unit,omitempty"`
	Better   Better `json:"better"`
	Decimals int    `json:"decimals"`

	Value    Number    `json:"value"`
	Interval *Interval `json:"interval,omitempty"`
	Std      *Number   `json:"std,omitempty"` // over KID's subsets
	N        int       `json:"n"`             // pairs, or images of a set

	Floor   *Reference `json:"floor,omitempty"`   // a copy of the H&E in place of the virtual stain
	Ceiling *Reference `json:"ceiling,omitempty"` // one half of the real images against the other, or a perfect value
	Chance  *Reference `json:"chance,omitempty"`  // random features
	Real    *Number    `json:"real,omitempty"`    // of a measure of images: its mean over real and virtual ones
	Virtual *Number    `json:"virtual,omitempty"`
	// MeanUnit and MeanDecimals are those of both means.
	MeanUnit     string `json:"mean_unit,omitempty"`
	MeanDecimals int    `json:"mean_decimals,omitempty"`

	Note       string `json:"note,omitempty"`
	Definition string `json:"definition"`
	Undefined  string `json:"undefined,omitempty"` // why there is no value
}

// Better says which values are good.
type Better string

// The directions.
const (
	Higher Better = "higher"
	Lower  Better = "lower"
	Zero   Better = "zero" // a difference
	One    Better = "one"  // a ratio
)

// Interval is a range of confidence.
type Interval struct {
	Low    Number `json:"low"`
	High   Number `json:"high"`
	Method string `json:"method"` // such as bootstrap by patient
}

// Reference is a number to compare a metric's value with.
type Reference struct {
	Value    Number    `json:"value"`
	Interval *Interval `json:"interval,omitempty"`
	Std      *Number   `json:"std,omitempty"`
	N        int       `json:"n,omitempty"`
	Note     string    `json:"note,omitempty"`
}

// NotComputed is a metric of the paper that is missing here.
type NotComputed struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Problem is something that failed.
type Problem struct {
	Where string `json:"where"` // a file, a pair or a metric
	Error string `json:"error"`
}

// String is the problem in a line. Errors of files begin with the file's name by themselves.
func (p Problem) String() string {
	if strings.HasPrefix(p.Error, p.Where+":") {
		return p.Error
	}
	return p.Where + ": " + p.Error
}

// NetworkUsed is a network that computed features.
type NetworkUsed struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	Computed    int    `json:"computed"` // images whose features were computed in this run, or by its shards
	Cached      int    `json:"cached"`   // and in earlier runs
}

// StainsUsed are the vectors that separated the stains.
type StainsUsed struct {
	Haematoxylin [3]float64 `json:"haematoxylin"`
	DAB          [3]float64 `json:"dab"`
	Source       string     `json:"source"`
}

// Histograms are the fractions of each set's pixels by optical density of DAB, from 0; the outer bins include what is
// beyond them.
type Histograms struct {
	BinWidth float64   `json:"bin_width"`
	Real     []float64 `json:"real"`
	Virtual  []float64 `json:"virtual"`
	HE       []float64 `json:"he,omitempty"`
}

// Statement is an entry in files' provenance, and how many have it.
type Statement struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Files int    `json:"files"`
}

// Failed reports whether something could not be computed that should have been.
func (r *Results) Failed() bool { return len(r.Problems) > 0 }

// Absent lists what was not computed, metrics with the same reason together.
func (r *Results) Absent() []NotComputed {
	var list []NotComputed
	for _, n := range r.NotComputed {
		if last := len(list) - 1; last >= 0 && list[last].Reason == n.Reason {
			list[last].Name += ", " + n.Name
			continue
		}
		list = append(list, n)
	}
	return list
}

// Metric finds a line; nil if there is none.
func (r *Results) Metric(id string) *Metric {
	for i := range r.Metrics {
		if r.Metrics[i].ID == id {
			return &r.Metrics[i]
		}
	}
	return nil
}

// JSON is the content of results.json.
func (r *Results) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	return append(data, '\n'), err
}

// readResults reads a results.json.
func readResults(path string) (*Results, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Results{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func number(v float64) *Number {
	if math.IsNaN(v) {
		return nil
	}
	n := Number(v)
	return &n
}
