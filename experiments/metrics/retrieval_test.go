package metrics_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/internal/golden"
)

// TestRetrievalEqualsOfficial compares with compute_accuracy of the official evaluation.
func TestRetrievalEqualsOfficial(t *testing.T) {
	f := golden.Open(t, "metrics.safetensors")
	var want struct {
		Retrieval map[string]struct {
			Ranks []int
		}
	}
	readGoldenJSON(t, "metrics.json", &want)
	if len(want.Retrieval) == 0 {
		t.Fatal("the golden set has no retrievals")
	}
	for name, w := range want.Retrieval {
		t.Run(name, func(t *testing.T) {
			got, err := metrics.Retrieve(
				rows(f.Float32(t, "retrieval/"+name+"/pred")), rows(f.Float32(t, "retrieval/"+name+"/truth")),
			)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(w.Ranks, got); diff != "" {
				t.Errorf("ranks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetrievalProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, d := rapid.IntRange(1, 12).Draw(t, "n"), rapid.IntRange(1, 5).Draw(t, "d")
		real, generated := drawRows(t, n, d, "real"), drawRows(t, n, d, "generated")
		for _, row := range real {
			row[0] += 9 // a norm below 1e-6 makes a row less similar to itself
		}
		same, err := metrics.Retrieve(real, real)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Max(same) > 0 {
			t.Fatalf("ranks %v of images with themselves, want 0", same)
		}
		got, err := metrics.Retrieve(generated, real)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Min(got) < 0 || slices.Max(got) >= n {
			t.Fatalf("ranks %v: want all below %d", got, n)
		}
		// A copy of the own partner is a tie, and ties count as the better place.
		real[n-1] = real[0]
		if tied, err := metrics.Retrieve(real, real); err != nil || slices.Max(tied) > 0 {
			t.Fatalf("ranks %v with a copy among the real images (%v), want 0", tied, err)
		}
	})
}

func TestChanceLevel(t *testing.T) {
	for _, c := range []struct {
		n, k int
		want float64
	}{{1000, 1, 1e-3}, {1000, 3, 3e-3}, {2, 3, 1}} {
		if got := metrics.ChanceLevel(c.n, c.k); got != c.want {
			t.Errorf("top %d of %d: %v, want %v", c.k, c.n, got, c.want)
		}
	}
	if !math.IsNaN(metrics.ChanceLevel(0, 1)) {
		t.Error("no images have a level, want NaN")
	}
}

func TestRetrievalRefuses(t *testing.T) {
	nan := float32(math.NaN())
	for want, sets := range map[string][2][][]float32{
		"1 generated and 2 real images":         {{{1}}, {{1}, {2}}},
		"0 generated and 0 real images":         {},
		"generated: feature row 0: 1 features":  {{{1}}, {{1, 2}}},
		"real: feature row 0: feature 0 is NaN": {{{1}}, {{nan}}},
	} {
		if _, err := metrics.Retrieve(sets[0], sets[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
