package rng_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/rng"
)

func TestPython(t *testing.T) {
	m := readManifest(t)
	for _, s := range m.Seeds {
		t.Run(s.String(), func(t *testing.T) {
			seed, err := s.Int64()
			if err != nil {
				t.Fatal(err)
			}
			want, ok := m.Python[s.String()]
			if !ok {
				t.Fatalf("rng.json has no python_random of seed %s", s)
			}
			got := want
			p := rng.NewPython(seed) // the draws below continue one another
			got.Bits32 = make([]uint64, len(want.Bits32))
			for i := range got.Bits32 {
				got.Bits32[i] = p.Bits(32)
			}
			got.Random = make([]float64, len(want.Random))
			for i := range got.Random {
				got.Random[i] = p.Random()
			}
			got.Choice = make([]int, len(want.Choice))
			for i := range got.Choice {
				got.Choice[i] = []int{0, 90, 180, 270}[p.Choice(4)]
			}
			got.Shuffle = make([]int, len(want.Shuffle))
			for i := range got.Shuffle {
				got.Shuffle[i] = i
			}
			p.Shuffle(len(got.Shuffle), func(i, j int) { got.Shuffle[i], got.Shuffle[j] = got.Shuffle[j], got.Shuffle[i] })
			got.Randrange = make([]int, len(want.Randrange))
			for i := range got.Randrange {
				got.Randrange[i] = p.Choice(1000)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Values of CPython 3.11: random.Random(seed).getrandbits(k) for what the golden draws leave out.
func TestPythonBits(t *testing.T) {
	for _, test := range []struct {
		seed int64
		k    int
		want uint64
	}{
		{1, 0, 0x0},
		{1, 1, 0x0},
		{-1, 7, 0x11},
		{1, 31, 0x1132d8fa},
		{5, 33, 0x9f767c45},
		{5, 48, 0x41649f767c45},
		{5, 63, 0x20b26c1c9f767c45},
		{4611686018427387907, 64, 0xe1514c12c86988e2},
		{-9223372036854775808, 64, 0x64d61bfe8dafd108},
	} {
		if got := rng.NewPython(test.seed).Bits(test.k); got != test.want {
			t.Errorf("seed %d, %d bits: %#x, want %#x", test.seed, test.k, got, test.want)
		}
	}
}

func TestPythonChoiceProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int().Draw(t, "n")
		if i := rng.NewPython(rapid.Int64().Draw(t, "seed")).Choice(n); i < 0 || i >= max(n, 1) {
			t.Fatalf("Choice(%d) = %d", n, i)
		}
	})
}
