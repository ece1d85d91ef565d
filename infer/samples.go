package infer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/walk"
)

// PositiveArea sums up the DAB-positive part of an image's area over its samples, which differ in their seeds.
type PositiveArea struct {
	Samples []float64 `json:"samples"` // the fraction of each, 0..1
	Mean    float64   `json:"mean"`
	// Bounds enclose the area of 9 of 10 further samples, if these are distributed normally. This is what the seed
	// changes, not what the model gets wrong.
	Bounds
	// Truth encloses the area of the true stain in 9 of 10 images like those that FileOptions.Calibration is of; nil
	// without.
	Truth *Bounds `json:"truth,omitempty"`
}

// Bounds are those of an interval.
type Bounds struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// enclosed is the part that the bounds of a PositiveArea enclose.
const enclosed = 0.9

// AreaError is how far the positive areas of a virtual and of the true stain are apart, both from 0 to 1: the
// difference of their arcsine square roots, which doesn't grow with the area as the difference itself does.
func AreaError(virtual, truth float64) float64 {
	return math.Abs(math.Asin(math.Sqrt(virtual)) - math.Asin(math.Sqrt(truth)))
}

// Calibration are a model's AreaErrors on images of patients other than those that it is used for.
type Calibration []float64

// Reach is the AreaError that 9 of 10 further images don't exceed, if they are like the others: split conformal
// prediction (Lei et al., JASA 113, 2018). It takes 9 images, and more to be near 9 of 10.
func (c Calibration) Reach() (float64, error) {
	k := int(math.Ceil(enclosed * float64(len(c)+1)))
	if k > len(c) {
		return 0, fmt.Errorf("a calibration by %d images: want 9 or more", len(c))
	}
	return slices.Sorted(slices.Values(c))[k-1], nil
}

// truth is the interval of the true area, for a reach.
func (a *PositiveArea) truth(reach float64) *Bounds {
	middle := math.Asin(math.Sqrt(a.Mean))
	low, high := math.Sin(max(0, middle-reach)), math.Sin(min(math.Pi/2, middle+reach))
	return &Bounds{low * low, high * high}
}

func positiveArea(samples []float64) *PositiveArea {
	a := &PositiveArea{Samples: samples}
	n := float64(len(samples))
	for _, x := range samples {
		a.Mean += x / n
	}
	squares := 0.0
	for _, x := range samples {
		squares += (x - a.Mean) * (x - a.Mean)
	}
	t := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile((1 + enclosed) / 2)
	reach := t * math.Sqrt(squares/(n-1)*(1+1/n))
	a.Low, a.High = max(0, a.Mean-reach), min(1, a.Mean+reach)
	return a
}

// DeviationName is the file of the standard deviation of an output's samples.
func DeviationName(output string) string {
	return strings.TrimSuffix(output, filepath.Ext(output)) + "-sd.png"
}

// stained is what became of an image: a stain, or the mean of samples.
type stained struct {
	image *imagefile.Image
	// deviation is the standard deviation of the samples' optical density of DAB, grey: 255 is 1 or more. It and area are
	// nil where there is one sample.
	deviation *imagefile.Image
	area      *PositiveArea
}

// overSeeds makes n stains, as often as samples are asked for; draw makes one of each.
func (r *run) overSeeds(n int, of Settings, draw func(Settings) ([]*imagefile.Image, error)) ([]stained, error) {
	list, sums := make([]stained, n), make([]sampleSum, n)
	for k := range max(r.o.Samples, 1) {
		s := of
		s.Seed += int64(k)
		images, err := draw(s)
		if err != nil {
			return nil, err
		}
		for i, m := range images {
			if r.o.Match != nil {
				r.o.Match.Apply(m.Pix)
			}
			list[i].image = m
			if r.o.Samples > 1 {
				if err := sums[i].add(m); err != nil {
					return nil, err
				}
			}
		}
	}
	if r.o.Samples > 1 {
		for i := range sums {
			list[i] = sums[i].stained()
			if r.o.Calibration != nil {
				list[i].area.Truth = list[i].area.truth(r.reach)
			}
		}
	}
	return list, nil
}

// sampleSum adds samples of an image up.
type sampleSum struct {
	width, height int
	levels        []uint32  // [h,w,3]
	dab, squares  []float64 // optical densities [h,w], and their squares
	areas         []float64
}

func (s *sampleSum) add(m *imagefile.Image) error {
	separator, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		return err
	}
	table, err := separator.Table(stain.DAB)
	if err != nil {
		return err
	}
	if s.levels == nil {
		n := m.Width * m.Height
		s.width, s.height = m.Width, m.Height
		s.levels, s.dab, s.squares = make([]uint32, 3*n), make([]float64, n), make([]float64, n)
	}
	for i, v := range m.Pix {
		s.levels[i] += uint32(v)
	}
	positive := 0
	for i := range s.dab {
		v := table.At(m.Pix[3*i], m.Pix[3*i+1], m.Pix[3*i+2])
		s.dab[i] += v
		s.squares[i] += v * v
		if v >= stain.PositiveDAB {
			positive++
		}
	}
	s.areas = append(s.areas, float64(positive)/float64(len(s.dab)))
	return nil
}

// stained is the mean of the samples, and how they differ.
func (s *sampleSum) stained() stained {
	out := stained{imagefile.New(s.width, s.height), imagefile.New(s.width, s.height), positiveArea(s.areas)}
	n := float64(len(s.areas))
	for i, v := range s.levels {
		out.image.Pix[i] = uint8(math.Round(float64(v) / n))
	}
	for i := range s.dab {
		mean := s.dab[i] / n
		deviation := math.Sqrt(max(0, s.squares[i]/n-mean*mean) * n / (n - 1))
		level := uint8(math.Round(min(1, deviation) * 255))
		for c := range 3 {
			out.deviation.Pix[3*i+c] = level
		}
	}
	return out
}

// SampledArea is the positive area of an output that is a mean of samples.
type SampledArea struct {
	Input  string `json:"input"`
	Output string `json:"output"`
	PositiveArea
}

// keySamples is the statement of an output's PositiveArea.
const keySamples = "histdist.samples"

// writeDeviation writes where the samples of a job differ, and returns the statements of its output.
func (r *run) writeDeviation(l loaded, s stained) ([]imagefile.Pair, error) {
	text, err := json.Marshal(s.area)
	if err != nil {
		return nil, err
	}
	with := func(kind imagefile.Kind, what string) ([]imagefile.Pair, error) {
		statements, err := r.statements(kind, l, l.origin)
		if err != nil {
			return nil, err
		}
		statements[0].Value = fmt.Sprintf("%s of %d virtual stains, research use only", what, len(s.area.Samples))
		return append(statements, imagefile.Pair{Key: keySamples, Value: string(text)}), nil
	}
	statements, err := with(imagefile.Deviation, "standard deviation of the optical density of DAB")
	if err != nil {
		return nil, err
	}
	o := imagefile.WriteOptions{Provenance: statements}
	if err := imagefile.Write(DeviationName(l.Output), s.deviation, o); err != nil {
		return nil, err
	}
	return with(imagefile.VirtualStain, "mean")
}

// addArea adds to the summary what a job's output states of its samples.
func (r *run) addArea(l loaded) error {
	if r.o.Samples < 2 {
		return nil
	}
	statements, err := imagefile.ReadProvenance(l.Output)
	if err != nil {
		return err
	}
	for _, p := range statements {
		if p.Key != keySamples {
			continue
		}
		a := SampledArea{Input: l.Input, Output: l.Output}
		if err := json.Unmarshal([]byte(p.Value), &a.PositiveArea); err != nil {
			return fmt.Errorf("%s: %w", l.Output, err)
		}
		r.summary.Areas = append(r.summary.Areas, a)
	}
	return nil
}

// samplesDue is due for an output, whose why and err are l's, and for the standard deviation of its samples.
func (r *run) samplesDue(l loaded) (why string, err error) {
	path := DeviationName(l.Output)
	_, err = os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return "", walk.Plain(err)
	case !missing && !r.o.Overwrite && imagefile.KindOf(path) == imagefile.NotOurs:
		return "", fmt.Errorf("%s: the file exists and was not made by this program: --overwrite replaces it, "+
			"or name another output", path)
	case missing && errors.Is(l.err, ErrSkipped):
		return "the standard deviation was missing", nil
	}
	return l.why, l.err
}
