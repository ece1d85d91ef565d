package data

import (
	"fmt"
	"maps"
	"slices"
)

// SplitByPatient splits pairs so that no patient is in both parts: patients, in an order by seed, go to val until it
// has the fraction (between 0 and 1) of all pairs, the rest to train. It sets the pairs' Split. A pair without a
// patient is an error: it could belong to anyone. Of pairs of several markers val gets the fraction of each, or more
// where that takes patients who have other markers, too.
func SplitByPatient(pairs []Pair, fraction float64, seed int64) (train, val []Pair, err error) {
	if !(fraction > 0 && fraction < 1) {
		return nil, nil, fmt.Errorf("data: a validation fraction of %g: want more than 0 and less than 1", fraction)
	}
	s := splitter{byPatient: map[string][]Pair{}, markers: map[string]*markerSplit{}}
	var markers []string
	for _, p := range pairs {
		if p.Patient == "" {
			return nil, nil, fmt.Errorf("data: the patient of %s is unknown; "+
				"give a pattern that finds it in the name, or a list with a column patient", p.HE)
		}
		m := s.markers[p.Marker]
		if m == nil {
			m = &markerSplit{left: map[string]bool{}}
			s.markers[p.Marker] = m
			markers = append(markers, p.Marker)
		}
		m.pairs++
		m.left[p.Patient] = true
		s.byPatient[p.Patient] = append(s.byPatient[p.Patient], p)
	}
	for _, marker := range markers {
		m := s.markers[marker]
		if len(m.left) < 2 {
			return nil, nil, fmt.Errorf("data: %d patients%s can't be divided in two", len(m.left), ofMarker(marker))
		}
		m.want = max(int(fraction*float64(m.pairs)+0.5), 1)
	}
	patients := sortedKeys(s.byPatient)
	d := newDraws(drawsSplit, uint64(seed))
	d.shuffle(len(patients), func(i, j int) { patients[i], patients[j] = patients[j], patients[i] })
	var parts [2][]Pair
	for _, patient := range patients {
		part, split := 0, "train"
		if s.take(patient) {
			part, split = 1, "val"
		}
		for _, p := range s.byPatient[patient] {
			p.Split = split
			parts[part] = append(parts[part], p)
		}
	}
	for _, marker := range markers {
		if m := s.markers[marker]; m.val == 0 {
			return nil, nil, fmt.Errorf("data: the %d patients%s can't be divided in two, for each is the last one of another "+
				"set: want more patients", len(m.left), ofMarker(marker))
		}
		for i, part := range parts {
			to := [2]*[]Pair{&train, &val}[i]
			*to = append(*to, slices.DeleteFunc(slices.Clone(part), func(p Pair) bool { return p.Marker != marker })...)
		}
	}
	return train, val, nil
}

// splitter are patients that are being split.
type splitter struct {
	byPatient map[string][]Pair
	markers   map[string]*markerSplit
}

// markerSplit is how far a marker is.
type markerSplit struct {
	pairs, want, val int             // all, for validation, and so far
	left             map[string]bool // patients that are not in validation
}

// take puts a patient into validation if a marker of the patient wants more pairs there and none loses its last
// patient.
func (s *splitter) take(patient string) bool {
	wanted := false
	for _, p := range s.byPatient[patient] {
		m := s.markers[p.Marker]
		if len(m.left) == 1 {
			return false
		}
		wanted = wanted || m.val < m.want
	}
	if !wanted {
		return false
	}
	for _, p := range s.byPatient[patient] {
		m := s.markers[p.Marker]
		m.val++
		delete(m.left, patient)
	}
	return true
}

func ofMarker(marker string) string {
	if marker == "" {
		return ""
	}
	return " of " + marker
}

// Shared is a patient with pairs in several splits.
type Shared struct {
	Patient string
	Pairs   map[string]int // by split
}

// SharedPatients finds the patients that are in more than one split, sorted.
func SharedPatients(pairs []Pair) []Shared {
	counts := map[string]map[string]int{}
	for _, p := range pairs {
		if p.Patient == "" {
			continue
		}
		if counts[p.Patient] == nil {
			counts[p.Patient] = map[string]int{}
		}
		counts[p.Patient][p.Split]++
	}
	var shared []Shared
	for _, patient := range slices.Sorted(maps.Keys(counts)) {
		if len(counts[patient]) > 1 {
			shared = append(shared, Shared{patient, counts[patient]})
		}
	}
	return shared
}
