package data

import (
	"fmt"
	"maps"
	"slices"
)

// SplitByPatient splits pairs so that no patient is in both parts: patients, in an order by seed, go to val until it
// has the fraction (between 0 and 1) of all pairs, the rest to train. It sets the pairs' Split. A pair without a
// patient is an error: it could belong to anyone. Pairs of several markers, each marker's together, are split marker by
// marker, so that each has the fraction, as far as patients that an earlier marker has allow it.
func SplitByPatient(pairs []Pair, fraction float64, seed int64) (train, val []Pair, err error) {
	if !(fraction > 0 && fraction < 1) {
		return nil, nil, fmt.Errorf("data: a validation fraction of %g: want more than 0 and less than 1", fraction)
	}
	splits := map[string]string{} // of patients
	for len(pairs) > 0 {
		n := 1
		for n < len(pairs) && pairs[n].Marker == pairs[0].Marker {
			n++
		}
		t, v, err := splitMarker(pairs[:n], fraction, seed, splits)
		if err != nil {
			return nil, nil, err
		}
		train, val, pairs = append(train, t...), append(val, v...), pairs[n:]
	}
	return train, val, nil
}

// splitMarker splits the pairs of a marker. splits has the patients whose part is decided, and gets the others.
func splitMarker(pairs []Pair, fraction float64, seed int64, splits map[string]string) (train, val []Pair, err error) {
	of := ""
	if m := pairs[0].Marker; m != "" {
		of = " of " + m
	}
	byPatient := map[string][]Pair{}
	decided := 0 // pairs for validation
	for _, p := range pairs {
		if p.Patient == "" {
			return nil, nil, fmt.Errorf("data: the patient of %s is unknown; "+
				"give a pattern that finds it in the name, or a list with a column patient", p.HE)
		}
		byPatient[p.Patient] = append(byPatient[p.Patient], p)
		if splits[p.Patient] == "val" {
			decided++
		}
	}
	if len(byPatient) < 2 {
		return nil, nil, fmt.Errorf("data: %d patients%s can't be divided in two", len(byPatient), of)
	}
	patients := sortedKeys(byPatient)
	d := newDraws(drawsSplit, uint64(seed))
	d.shuffle(len(patients), func(i, j int) { patients[i], patients[j] = patients[j], patients[i] })
	want := max(int(fraction*float64(len(pairs))+0.5), 1)
	for i, patient := range patients {
		if splits[patient] == "" {
			splits[patient] = "train"
			if decided < want && (i < len(patients)-1 || len(train) > 0) { // one patient at least stays in train
				splits[patient] = "val"
				decided += len(byPatient[patient])
			}
		}
		part := &train
		if splits[patient] == "val" {
			part = &val
		}
		for _, p := range byPatient[patient] {
			p.Split = splits[patient]
			*part = append(*part, p)
		}
	}
	if len(train) == 0 || len(val) == 0 {
		return nil, nil, fmt.Errorf("data: all %d patients%s are in one part, where another set has them: "+
			"want another seed, or more patients", len(patients), of)
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
