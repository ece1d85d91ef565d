package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/experiments/metrics/stats"
)

// singles makes a group of each of n values.
func singles(n int) stats.Groups {
	groups := make(stats.Groups, n)
	for i := range groups {
		groups[i] = []int{i}
	}
	return groups
}

// covered counts how often a 95 % interval of the mean holds the true mean, 0, over simulated studies. Values of a
// group share an offset of deviation between, and differ within it by 1.
func covered(studies, groups, each int, between float64, by func(labels []string) stats.Groups) int {
	hits := 0
	for study := range studies {
		draw := rand.New(rand.NewPCG(77, uint64(study)))
		var values []float64
		var labels []string
		for g := range groups {
			offset := between * draw.NormFloat64()
			for range each {
				values = append(values, offset+draw.NormFloat64())
				labels = append(labels, string(rune('A'+g)))
			}
		}
		b := stats.Bootstrap{Resamples: 400, Level: 0.95, Seed: uint64(study)}
		if i := b.Mean(values, by(labels)); i.Low <= 0 && 0 <= i.High {
			hits++
		}
	}
	return hits
}

// The bootstrap's intervals hold the true mean about as often as they say, and with patients only if patients are what
// is drawn.
func TestBootstrapCoverage(t *testing.T) {
	const studies = 600
	singles := func(labels []string) stats.Groups { return singles(len(labels)) }
	// The percentile interval of n values is narrower than Student's by √((n−1)/n) and its quantile: 0.94 for 60, 0.925
	// for 25. The bounds below lie 4 standard deviations of the count (0.0097 each) around.
	if part := float64(covered(studies, 60, 1, 0, singles)) / studies; part < 0.90 || part > 0.98 {
		t.Errorf("60 independent values: an interval of 95 %% held the mean in %.1f %% of the studies", 100*part)
	}
	if part := float64(covered(studies, 25, 6, 1, stats.By)) / studies; part < 0.885 || part > 0.98 {
		t.Errorf("25 patients, drawn by patient: %.1f %%", 100*part)
	}
	// By image the deviation of the mean comes out as √(2/150) where it is √(1/25 + 1/150): 0.115 for 0.216, which covers
	// 70 %.
	if part := float64(covered(studies, 25, 6, 1, singles)) / studies; part > 0.80 {
		t.Errorf("25 patients, drawn by image, which is wrong: %.1f %%: want clearly less than 95 %%", 100*part)
	}
}

// Mean and Of agree, whatever the groups, and the interval surrounds values that don't vary.
func TestBootstrapMeanIsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 2, 30).Draw(t, "labels")
		values := rapid.SliceOfN(rapid.Float64Range(-5, 5), len(labels), len(labels)).Draw(t, "values")
		b := stats.Bootstrap{Resamples: 50, Level: 0.9, Seed: rapid.Uint64().Draw(t, "seed")}
		groups := stats.By(labels)
		fast := b.Mean(values, groups)
		slow := b.Of(groups, func(indices []int) float64 {
			sum := 0.0
			for _, i := range indices {
				sum += values[i]
			}
			return sum / float64(len(indices))
		})
		if diff := cmp.Diff(slow, fast, cmpopts.EquateApprox(0, 1e-9), cmpopts.EquateNaNs()); diff != "" {
			t.Fatal(diff)
		}
		if len(groups) > 1 &&
			(fast.Low > fast.High || fast.Low < slices.Min(values)-1e-9 || fast.High > slices.Max(values)+1e-9) {
			t.Fatalf("%v for values from %v to %v", fast, slices.Min(values), slices.Max(values))
		}
	})
}

func TestBootstrapUndefined(t *testing.T) {
	b := stats.Bootstrap{Resamples: 200, Level: 0.95}
	if i := b.Mean([]float64{1, 2, 3}, stats.By([]string{"a", "a", "a"})); i.Known() {
		t.Errorf("one patient: %v: want none", i)
	}
	if i := b.Of(singles(5), func([]int) float64 { return math.NaN() }); i.Known() {
		t.Errorf("never defined: %v: want none", i)
	}
	inf := math.Inf(1)
	if diff := cmp.Diff(stats.Interval{Low: inf, High: inf}, b.Mean([]float64{inf, inf, inf}, singles(3))); diff != "" {
		t.Error(diff)
	}
}

// Where there is no effect, P is uniform: P ≤ α comes with probability α, drawn or counted, with patients or without.
func TestSignFlipIsUniformUnderTheNull(t *testing.T) {
	const studies = 800
	for _, c := range []struct {
		name         string
		groups, each int
		flips        int
		exact        bool
	}{{"counted", 10, 1, 1000, true}, {"drawn", 40, 1, 499, false}, {"drawn by patient", 20, 4, 499, false}} {
		var p []float64
		for study := range studies {
			draw := rand.New(rand.NewPCG(5, uint64(study)))
			var d []float64
			var labels []string
			for g := range c.groups {
				offset := draw.NormFloat64()
				for range c.each {
					d = append(d, offset+draw.NormFloat64())
					labels = append(labels, string(rune('A'+g)))
				}
			}
			test := stats.SignFlip(d, stats.By(labels), c.flips, uint64(study))
			if test.Exact != c.exact || test.Groups != c.groups {
				t.Fatalf("%s: %+v", c.name, test)
			}
			p = append(p, test.P)
		}
		slices.Sort(p)
		// Kolmogorov and Smirnov: a distance above 1.95/√studies comes once in a thousand. P's own steps are at most 1/500.
		distance := 0.0
		for i, v := range p {
			distance = max(distance, math.Abs(float64(i+1)/studies-v))
		}
		if limit := 1.95/math.Sqrt(studies) + 1.0/500; distance > limit {
			t.Errorf("%s: the distribution of P is %.3f from uniform: want at most %.3f", c.name, distance, limit)
		}
	}
}

func TestSignFlip(t *testing.T) {
	// Eight differences of one sign: two of 256 combinations are as far from 0.
	test := stats.SignFlip([]float64{1, 2, 3, 4, 5, 6, 7, 8}, singles(8), 10000, 0)
	want := stats.PairedTest{Mean: 4.5, Effect: 4.5 / math.Sqrt(6), P: 2.0 / 256, Groups: 8, Exact: true}
	if diff := cmp.Diff(want, test, cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Error(diff)
	}
	// No difference at all.
	test = stats.SignFlip(make([]float64, 100), singles(100), 200, 0)
	if test.P != 1 || test.Mean != 0 || test.Effect != 0 {
		t.Errorf("equal values: %+v", test)
	}
	// A clear one, too many to count: the smallest P that 999 draws can give.
	clear := make([]float64, 100)
	for i := range clear {
		clear[i] = 1 + float64(i%3)
	}
	if test = stats.SignFlip(clear, singles(100), 999, 0); test.P != 0.001 || test.Exact {
		t.Errorf("clear differences: %+v", test)
	}
	if test = stats.SignFlip(nil, nil, 999, 0); !math.IsNaN(test.P) {
		t.Errorf("no pair: %+v", test)
	}
}

func TestHolm(t *testing.T) {
	got := stats.Holm([]float64{0.04, 0.01, math.NaN(), 0.03, 0.005})
	want := []float64{0.06, 0.03, math.NaN(), 0.06, 0.02}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-12), cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

// Chance holds at least its level, and no narrower range of the same kind does.
func TestChance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		p := rapid.Float64Range(0.001, 0.999).Draw(t, "p")
		i := stats.Chance(p, n, 0.95)
		d := distuv.Binomial{N: float64(n), P: p}
		low, high := math.Round(i.Low*float64(n)), math.Round(i.High*float64(n))
		inside := d.CDF(high)
		if low > 0 {
			inside -= d.CDF(low - 1)
		}
		if inside < 0.95-1e-9 {
			t.Fatalf("%v holds %v", i, inside)
		}
		if d.CDF(high-1) >= 0.975 || (low > 0 && d.CDF(low-1) >= 0.025) {
			t.Fatalf("%v is wider than it need be", i)
		}
	})
}

func TestWilson(t *testing.T) {
	// R's prop.test(8, 20, correct = FALSE) and (0, 10).
	for _, c := range []struct {
		hits, n int
		want    stats.Interval
	}{{8, 20, stats.Interval{Low: 0.2188065, High: 0.6134185}}, {0, 10, stats.Interval{Low: 0, High: 0.2775328}}} {
		if diff := cmp.Diff(c.want, stats.Wilson(c.hits, c.n, 0.95), cmpopts.EquateApprox(0, 1e-6)); diff != "" {
			t.Errorf("%d of %d: %s", c.hits, c.n, diff)
		}
	}
}

func TestPearson(t *testing.T) {
	if r := stats.Pearson([]float64{1, 2, 3}, []float64{2, 4, 6}); math.Abs(r-1) > 1e-15 {
		t.Errorf("a line: %v", r)
	}
	// numpy.corrcoef([1, 2, 4, 7], [3, 1, 5, 2])[0, 1]
	if r := stats.Pearson([]float64{1, 2, 4, 7}, []float64{3, 1, 5, 2}); math.Abs(r-0.03688555567816587) > 1e-12 {
		t.Errorf("four pairs: %v", r)
	}
	for name, c := range map[string][2][]float64{
		"one pair":  {{1}, {2}},
		"NaN":       {{1, math.NaN()}, {1, 2}},
		"infinite":  {{1, 2}, {math.Inf(1), 2}},
		"constant":  {{1, 1, 1}, {1, 2, 3}},
		"constants": {{0.1, 0.1, 0.1}, {0.3, 0.3, 0.3}},
	} {
		if r := stats.Pearson(c[0], c[1]); !math.IsNaN(r) {
			t.Errorf("%s: r = %v, want NaN", name, r)
		}
	}
}

func TestQuantile(t *testing.T) {
	if q := stats.Quantile([]float64{4, 1, 3, 2}, 0.9); math.Abs(q-3.7) > 1e-12 { // numpy.quantile
		t.Errorf("%v", q)
	}
}
