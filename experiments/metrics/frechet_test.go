package metrics_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/golden"
)

func statistics(t testing.TB, rows [][]float32) *metrics.Statistics {
	t.Helper()
	s := metrics.NewStatistics(len(rows[0]))
	if err := s.Add(rows...); err != nil {
		t.Fatal(err)
	}
	return s
}

// singularTolerance is relative, for sets of fewer rows than features: both references take roots of eigenvalues that
// should be 0 and are rounding errors of either sign. Frechet itself agrees there with a computation of 50 digits in
// all that float64 holds: in a golden case of 10 rows it has 42.53939752407852, pytorch_fid 42.5393963…, numpy's
// eigenvalues 42.5393960….
const singularTolerance = 1e-6

// TestFrechetEqualsPytorchFID compares with pytorch_fid and with numpy's eigenvalues. The tolerance is the golden set's
// own: how far these two lie from each other.
func TestFrechetEqualsPytorchFID(t *testing.T) {
	f := golden.Open(t, "metrics.safetensors")
	var want struct {
		Frechet map[string]struct {
			PytorchFID    json.RawMessage `json:"pytorch_fid"` // a number, or the text of an error
			ByEigenvalues float64         `json:"by_eigenvalues"`
		}
	}
	readGoldenJSON(t, "metrics.json", &want)
	var tolerances map[string]struct {
		Suggested float64 `json:"suggested_abs"`
	}
	readGoldenJSON(t, "tolerances-b/metrics.json", &tolerances)
	tolerance := tolerances["frechet pytorch_fid against eigenvalues"].Suggested
	if tolerance == 0 || len(want.Frechet) == 0 {
		t.Fatal("the golden set has no Fréchet distances or no tolerance for them")
	}
	for name, w := range want.Frechet {
		t.Run(name, func(t *testing.T) {
			a, b := rows(f.Float32(t, "frechet/"+name+"/a")), rows(f.Float32(t, "frechet/"+name+"/b"))
			got, err := metrics.Frechet(statistics(t, a), statistics(t, b))
			if err != nil {
				t.Fatal(err)
			}
			singular, off := 0, tolerance
			for _, set := range [][][]float32{a, b} {
				if len(set) <= len(set[0]) {
					singular++
					off = max(tolerance, singularTolerance*w.ByEigenvalues)
				}
			}
			golden.Within(t, []float64{got.Distance}, []float64{w.ByEigenvalues}, golden.Tolerance{Atol: off})
			var number float64
			if json.Unmarshal(w.PytorchFID, &number) == nil {
				golden.Within(t, []float64{got.Distance}, []float64{number}, golden.Tolerance{Atol: off})
			}
			if len(got.Notes) != singular {
				t.Errorf("notes %q, want one for each of %d sets with fewer rows than features", got.Notes, singular)
			}
		})
	}
}

// TestFrechetTo50Digits compares with mpmath's distances of sets by formula, singular ones and one feature alone among
// them.
func TestFrechetTo50Digits(t *testing.T) {
	for _, c := range []struct {
		n1, n2, d int
		want      float64
	}{
		{20, 30, 5, 0.35100085298074535578},
		{6, 9, 12, 5.2445700180162605551},
		{2, 40, 3, 2.2325708583024222525},
		{5, 7, 1, 0.0171239777682650327},
	} {
		a := golden.Tensor[float32]{Shape: []int{c.n1, c.d}, Data: formula.Tensor(1, "a", c.n1*c.d, 1, 0)}
		b := golden.Tensor[float32]{Shape: []int{c.n2, c.d}, Data: formula.Tensor(1, "b", c.n2*c.d, 1, 0)}
		got, err := metrics.Frechet(statistics(t, rows(a)), statistics(t, rows(b)))
		if err != nil {
			t.Fatal(err)
		}
		golden.Within(t, []float64{got.Distance}, []float64{c.want}, golden.Tolerance{Atol: 1e-13})
	}
}

// TestFrechetOfShiftedSets: sets that differ by a shift alone have the shift's square as their distance, however they
// are split into calls of Add.
func TestFrechetOfShiftedSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, d := rapid.IntRange(2, 40).Draw(t, "n"), rapid.IntRange(1, 6).Draw(t, "d")
		a := drawRows(t, n, d, "row")
		shift := float64(rapid.IntRange(-4, 4).Draw(t, "shift"))
		x, y := metrics.NewStatistics(d), metrics.NewStatistics(d)
		for i, row := range a {
			moved := make([]float32, d)
			for j, v := range row {
				moved[j] = v + float32(shift)
			}
			if err := x.Add(row); err != nil {
				t.Fatal(err)
			}
			if err := y.Add(moved); err != nil {
				t.Fatal(err)
			}
			if i%7 == 3 {
				x.Mean() // closes a block early
			}
		}
		got, err := metrics.Frechet(x, y)
		if err != nil {
			t.Fatal(err)
		}
		// float32 rounds the moved values by 12·2⁻²⁴, of values up to 8 in d features.
		if want := float64(d) * shift * shift; math.Abs(got.Distance-want) > 1e-4*float64(d)*(1+math.Abs(shift)) {
			t.Fatalf("distance %v, want %v", got.Distance, want)
		}
		back, err := metrics.Frechet(y, x)
		if err != nil || math.Abs(got.Distance-back.Distance) > 1e-9 {
			t.Fatalf("distances %v and %v (%v), want a symmetric one", got.Distance, back.Distance, err)
		}
	})
}

// TestStatisticsByDefinition compares running sums over several blocks, with a mean far from zero, to the two-pass
// definition.
func TestStatisticsByDefinition(t *testing.T) {
	const n, d, offset = 700, 3, 1000
	set := make([][]float32, n)
	for i := range set {
		set[i] = []float32{offset + float32(i%13), float32(i%7) - offset, float32(i*i%11) / 8}
	}
	s := statistics(t, set)
	mean, got := s.Mean(), make([]float64, 0, d*d)
	c, err := s.Covariance()
	if err != nil {
		t.Fatal(err)
	}
	wantMean, want := make([]float64, d), make([]float64, 0, d*d)
	for _, row := range set {
		for j, v := range row {
			wantMean[j] += float64(v) / n
		}
	}
	for i := range d {
		for j := range d {
			sum := 0.0
			for _, row := range set {
				sum += (float64(row[i]) - wantMean[i]) * (float64(row[j]) - wantMean[j])
			}
			got, want = append(got, c.At(i, j)), append(want, sum/(n-1))
		}
	}
	golden.Within(t, mean, wantMean, golden.Tolerance{Atol: 1e-10})
	golden.Within(t, got, want, golden.Tolerance{Atol: 1e-10})
	if s.Count() != n || s.Dim() != d {
		t.Errorf("%d rows of %d features, want %d of %d", s.Count(), s.Dim(), n, d)
	}
}

func TestFrechetRefuses(t *testing.T) {
	two := [][]float32{{1, 2}, {3, 4}}
	for want, sets := range map[string][2][][]float32{
		"FID is undefined: a set of 1 images has no covariance": {two, two[:1]},
		"2 features in one set, 1 in the other":                 {two, {{1}, {2}}},
	} {
		_, err := metrics.Frechet(statistics(t, sets[0]), statistics(t, sets[1]))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := metrics.Frechet(metrics.NewStatistics(4), metrics.NewStatistics(4)); err == nil {
		t.Error("a distance of no images")
	}
	nan := float32(math.NaN())
	for want, row := range map[string][]float32{
		"feature row 1: 1 features, want 2":                     {1},
		"feature row 1: feature 1 is NaN, want a finite number": {0, nan},
	} {
		s := statistics(t, two[:1])
		if err := s.Add(row); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if s.Count() != 1 {
			t.Errorf("%d rows after a refused one, want 1", s.Count())
		}
	}
}

// randomRows makes rows of random numbers in [0,1).
func randomRows(n, d int) [][]float32 {
	state := uint64(1)
	out := make([][]float32, n)
	for i := range out {
		out[i] = make([]float32, d)
		for j := range out[i] {
			state = state*6364136223846793005 + 1442695040888963407
			out[i][j] = float32(state>>40) / (1 << 24)
		}
	}
	return out
}

func BenchmarkStatistics(b *testing.B) {
	const d, n = 2048, 256
	block := randomRows(n, d)
	s := metrics.NewStatistics(d)
	for b.Loop() {
		if err := s.Add(block...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkFrechet(b *testing.B) {
	const d = 2048
	for _, n := range []int{1000, 2500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			set := randomRows(2*n, d)
			x, y := statistics(b, set[:n]), statistics(b, set[n:])
			for b.Loop() {
				if _, err := metrics.Frechet(x, y); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
