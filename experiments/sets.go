package experiments

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/internal/option"
)

// openSets opens the data sets of several markers. Their pairs follow each other in the sets' order, in the training
// and in the validation.
func (e *Experiment) openSets(ctx context.Context) error {
	c := e.Config.Data
	var all []data.Pair
	for i, set := range c.Sets {
		key := c.Sets.key(i)
		pairs, err := e.openSet(ctx, set.in(c), key)
		if err != nil {
			return err
		}
		for j := range pairs {
			pairs[j].Marker = set.Marker
		}
		if c.ValidationFraction > 0 { // patients may be in several sets: all are divided together
			all = append(all, pairs...)
			continue
		}
		part, err := e.divide(pairs)
		if err != nil {
			return fmt.Errorf("%s (%s): %w", key, set.Marker, err)
		}
		e.Pairs.Train = append(e.Pairs.Train, part.Train...)
		e.Pairs.Validation = append(e.Pairs.Validation, part.Validation...)
	}
	if c.ValidationFraction == 0 {
		return nil
	}
	var err error
	e.Pairs, err = e.divide(all)
	return err
}

// leak is the error of patients that are in both training and validation.
func (e *Experiment) leak(shared []data.Shared) error {
	first := shared[0].Patient
	in := func(pairs []data.Pair) string {
		var markers []string
		for _, p := range pairs {
			if p.Patient == first && !slices.Contains(markers, p.Marker) {
				markers = append(markers, p.Marker)
			}
		}
		return strings.Join(markers, ", ")
	}
	return fmt.Errorf("data.sets: patients or slides (%d, such as %s: in the training for %s, in the validation for %s) "+
		"are in both training and validation: want data.validation-fraction, such as 0.1, which divides all sets by patient",
		len(shared), first, in(e.Pairs.Train), in(e.Pairs.Validation))
}

// shares are the sets' parts of an epoch; nil for one data set.
func (e *Experiment) shares() ([]data.Share, error) {
	sets := e.Config.Data.Sets
	if len(sets) == 0 {
		return nil, nil
	}
	shares := make([]data.Share, len(sets))
	for i, set := range sets {
		shares[i].Weight = set.Weight
		for _, p := range e.Pairs.Train {
			if p.Marker == set.Marker {
				shares[i].Pairs++
			}
		}
	}
	for i, quota := range data.Quotas(shares) {
		if quota == 0 {
			return nil, option.Wrong(sets.key(i)+".weight", "%g: of an epoch's %d pairs none would be of %s: want more",
				sets[i].Weight, len(e.Pairs.Train), sets[i].Marker)
		}
	}
	return shares, nil
}

// setsText describes the sets' parts: "ER 1 × 512 pairs, HER2 2 × 498 pairs"; "" for one data set.
func (e *Experiment) setsText() string {
	shares, err := e.shares()
	if err != nil {
		return "" // the run was refused
	}
	var list []string
	for i, s := range shares {
		list = append(list, fmt.Sprintf("%s %g × %s", e.Config.Data.Sets[i].Marker, s.Weight, plural(s.Pairs, "pair")))
	}
	return strings.Join(list, ", ")
}

// labelsOf are the class labels of pairs of markers; nil without sets.
func (e *Experiment) labelsOf(markers []string) []int {
	if len(e.Config.Data.Sets) == 0 {
		return nil
	}
	labels := make([]int, len(markers))
	for i, m := range markers {
		labels[i], _, _ = e.model.Purpose.Label(m) // openModel has all markers of the sets
	}
	return labels
}

// inTurns orders pairs such that the markers take turns: the first pair of each, then the second, so that the first few
// are of all markers.
func inTurns(pairs []data.Pair) []data.Pair {
	turn, turns := map[string]int{}, make([][]data.Pair, 0)
	for _, p := range pairs {
		n := turn[p.Marker]
		if turn[p.Marker]++; n == len(turns) {
			turns = append(turns, nil)
		}
		turns[n] = append(turns[n], p)
	}
	return slices.Concat(turns...)
}

// marker names what the run learns to stain for.
func (e *Experiment) marker() string {
	return cmp.Or(e.Config.Model.Marker, strings.Join(e.Config.Data.Sets.Markers(), ", "))
}
