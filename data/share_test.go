package data_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data"
)

func TestQuotas(t *testing.T) {
	for _, c := range []struct {
		shares []data.Share
		want   []int
	}{
		{[]data.Share{{10, 1}, {10, 1}}, []int{10, 10}},
		{[]data.Share{{1, 1}, {19, 1}}, []int{10, 10}},
		{[]data.Share{{10, 3}, {10, 1}}, []int{15, 5}},
		{[]data.Share{{5, 1}, {5, 1}, {1, 1}}, []int{4, 4, 3}}, // 11/3 each
		{[]data.Share{{4, 1}, {6, 0.001}}, []int{10, 0}},
	} {
		if diff := cmp.Diff(c.want, data.Quotas(c.shares)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.shares, diff)
		}
	}
}

// Each epoch has every share's quota; a share goes through all its pairs before one comes again, over the borders of
// epochs; and a pair that comes again gets another crop.
func TestShares(t *testing.T) {
	dataset := open(t, folders(t, 7, 20, 16))
	shares := []data.Share{{2, 1}, {5, 1}}
	o := data.LoaderOptions{BatchSize: 3, Crop: 8, Augment: true, Shuffle: true, Seed: 5, Shares: shares}
	l := newLoader(t, dataset, o)
	var seen [2][]int
	crops := map[data.Augmentation]int{}
	var orders []string
	for epoch := range 10 {
		var counts [2]int
		order := ""
		for i := range l.Steps() {
			b := batch(t, l, epoch*l.Steps()+i)
			for j, index := range b.Indices {
				of := 0
				if index >= shares[0].Pairs {
					of = 1
				}
				counts[of]++
				seen[of] = append(seen[of], index)
				order += string(rune('0' + of))
				if index == 0 {
					crops[b.Augmentations[j]]++
				}
			}
		}
		if diff := cmp.Diff(data.Quotas(shares), counts[:]); diff != "" {
			t.Errorf("epoch %d (-want +got):\n%s", epoch, diff)
		}
		orders = append(orders, order)
	}
	first := 0
	for of, s := range shares {
		for turn := range len(seen[of]) / s.Pairs {
			part := slices.Sorted(slices.Values(seen[of][turn*s.Pairs : (turn+1)*s.Pairs]))
			for i, index := range part {
				if index != first+i {
					t.Fatalf("share %d, turn %d: %v", of, turn, part)
				}
			}
		}
		first += s.Pairs
	}
	if len(crops) < 10 { // pair 0 came 20 times; there are 936 augmentations
		t.Errorf("%d different crops of a pair", len(crops))
	}
	slices.Sort(orders)
	if n := len(slices.Compact(orders)); n < 5 { // of 10 epochs, with 35 orders each
		t.Errorf("%d different orders of shares", n)
	}
}

// A step of shares is a pure function of the seed, too: whoever asks for it, wherever a stream begins.
func TestSharesAreReproducible(t *testing.T) {
	dataset := open(t, folders(t, 6, 12, 12))
	o := data.LoaderOptions{
		BatchSize: 2, Crop: 6, Augment: true, Shuffle: true, Seed: 9, Workers: 1,
		Shares: []data.Share{{1, 0.5}, {3, 2}, {2, 1}},
	}
	reference := newLoader(t, dataset, o)
	rapid.Check(t, func(t *rapid.T) {
		o := o
		o.Workers, o.ReadAhead = rapid.IntRange(1, 4).Draw(t, "workers"), rapid.IntRange(1, 3).Draw(t, "ahead")
		l, err := data.NewLoader(dataset, o)
		if err != nil {
			t.Fatal(err)
		}
		first, every := rapid.IntRange(0, 20).Draw(t, "first"), rapid.IntRange(1, 4).Draw(t, "every")
		s := l.StreamEvery(t.Context(), first, every) // as one of so many processes
		defer s.Close()
		for i := range 3 {
			got, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want, err := reference.Batch(t.Context(), first+i*every)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("step %d (-want +got):\n%s", first+i*every, diff)
			}
		}
	})
}

// Patients that several markers have are in one part for all of them, and each marker has its fraction or more.
func TestSplitByPatientOfMarkers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		markers := []string{"ER", "HER2", "PR"}
		var pairs []data.Pair
		for _, m := range markers {
			for p := range rapid.IntRange(6, 12).Draw(t, "patients of "+m) {
				for range rapid.IntRange(1, 3).Draw(t, "pairs") {
					pairs = append(pairs, data.Pair{Marker: m, Patient: string(rune('a' + p))})
				}
			}
		}
		train, val, err := data.SplitByPatient(pairs, 0.3, rapid.Int64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		if len(train)+len(val) != len(pairs) {
			t.Fatalf("%d and %d of %d pairs", len(train), len(val), len(pairs))
		}
		if shared := data.SharedPatients(slices.Concat(train, val)); len(shared) > 0 {
			t.Fatalf("shared: %v", shared)
		}
		all, some := map[string]int{}, map[string]int{}
		for _, p := range pairs {
			all[p.Marker]++
		}
		for _, p := range val {
			some[p.Marker]++
		}
		for _, m := range markers {
			if float64(some[m]) < 0.3*float64(all[m])-0.5 {
				t.Fatalf("%d of %d pairs of %s", some[m], all[m], m)
			}
		}
		for _, part := range [][]data.Pair{train, val} {
			var order []string
			for _, p := range part {
				order = append(order, p.Marker)
			}
			if diff := cmp.Diff(markers, slices.Compact(order)); diff != "" {
				t.Fatalf("the markers' order (-want +got):\n%s", diff)
			}
		}
	})
}
