package data

import (
	"fmt"
	"maps"
	"slices"
)

// SplitByPatient splits pairs so that no patient is in both parts: patients, in an order by seed, go to val until it
// has the fraction (between 0 and 1) of all pairs, the rest to train. It sets the pairs' Split. A pair without a
// patient is an error: it could belong to anyone.
func SplitByPatient(pairs []Pair, fraction float64, seed int64) (train, val []Pair, err error) {
	if !(fraction > 0 && fraction < 1) {
		return nil, nil, fmt.Errorf("data: a validation fraction of %g: want more than 0 and less than 1", fraction)
	}
	byPatient := map[string][]Pair{}
	for _, p := range pairs {
		if p.Patient == "" {
			return nil, nil, fmt.Errorf("data: the patient of %s is unknown; "+
				"give a pattern that finds it in the name, or a list with a column patient", p.HE)
		}
		byPatient[p.Patient] = append(byPatient[p.Patient], p)
	}
	if len(byPatient) < 2 {
		return nil, nil, fmt.Errorf("data: %d patients can't be divided in two", len(byPatient))
	}
	patients := sortedKeys(byPatient)
	d := newDraws(drawsSplit, uint64(seed))
	d.shuffle(len(patients), func(i, j int) { patients[i], patients[j] = patients[j], patients[i] })
	want := max(int(fraction*float64(len(pairs))+0.5), 1)
	for i, patient := range patients {
		part, split := &train, "train"
		if len(val) < want && i < len(patients)-1 { // one patient at least stays in train
			part, split = &val, "val"
		}
		for _, p := range byPatient[patient] {
			p.Split = split
			*part = append(*part, p)
		}
	}
	return train, val, nil
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
