package metrics_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/internal/golden"
)

// kidTolerance is relative to the kernel's size: values are differences of sums of kernels, of which float64 keeps
// 1e-15.
const kidTolerance = 1e-9

// TestKIDEqualsOfficial compares with kid_score.py's estimator, over all rows and over subsets that NumPy drew.
func TestKIDEqualsOfficial(t *testing.T) {
	f := golden.Open(t, "metrics.safetensors")
	var want struct {
		KID map[string]struct {
			FullMMD2   *float64 `json:"full_mmd2"`
			SubsetSize int      `json:"subset_size"`
			Seed       uint32   `json:"numpy_seed"`
			MMD2       []float64
		}
	}
	readGoldenJSON(t, "metrics.json", &want)
	if len(want.KID) == 0 {
		t.Fatal("the golden set has no kernel inception distances")
	}
	equal := func(t *testing.T, what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > kidTolerance*max(math.Abs(want), 1e-3) {
			t.Errorf("%s %v, want %v", what, got, want)
		}
	}
	for name, w := range want.KID {
		t.Run(name, func(t *testing.T) {
			real, generated := rows(f.Float32(t, "kid/"+name+"/true")), rows(f.Float32(t, "kid/"+name+"/fake"))
			if w.FullMMD2 != nil {
				full, err := metrics.KernelDistance(real, generated)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "full MMD²", full, *w.FullMMD2)
			}
			draw := rng.NewNumPy(w.Seed)
			pick := func(rows [][]float32) (chosen [][]float32) {
				for _, k := range draw.Choice(len(rows), w.SubsetSize) {
					chosen = append(chosen, rows[k])
				}
				return chosen
			}
			for _, want := range w.MMD2 {
				r := pick(real)
				got, err := metrics.KernelDistance(r, pick(generated))
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "MMD²", got, want)
			}
		})
	}
}

// TestKernelDistanceByDefinition compares with the sum over pairs that the paper has.
func TestKernelDistanceByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, d := rapid.IntRange(3, 9).Draw(t, "n"), rapid.IntRange(1, 5).Draw(t, "d")
		x, y := drawRows(t, n, d, "x"), drawRows(t, n, d, "y")
		kernel := func(a, b []float32) float64 {
			sum := 0.0
			for i := range a {
				sum += float64(a[i]) * float64(b[i])
			}
			return math.Pow(sum/float64(d)+1, 3)
		}
		want, largest := 0.0, 1.0
		for i := range n {
			for j := range n {
				if i != j {
					want += (kernel(x[i], x[j]) + kernel(y[i], y[j])) / float64(n*(n-1))
				}
				want -= 2 * kernel(x[i], y[j]) / float64(n*n)
				largest = max(largest, math.Abs(kernel(x[i], y[j])), math.Abs(kernel(x[i], x[j])), math.Abs(kernel(y[i], y[j])))
			}
		}
		got, err := metrics.KernelDistance(x, y)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got-want) > 1e-12*largest {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// TestKernelDistanceOfManyRows: more rows than are held at once, of which those of one set differ from the other's by a
// permutation alone. The kernel sums of both sets and between them are the same then, but for the pairs of a row with
// itself.
func TestKernelDistanceOfManyRows(t *testing.T) {
	const n, d = 600, 4
	x := randomRows(n, d)
	y := slices.Clone(x)
	slices.Reverse(y)
	kernel := func(a, b []float32) float64 {
		sum := 0.0
		for i := range a {
			sum += float64(a[i]) * float64(b[i])
		}
		return (sum/d + 1) * (sum/d + 1) * (sum/d + 1)
	}
	all, self := 0.0, 0.0
	for i := range x {
		for j := range x {
			all += kernel(x[i], x[j])
		}
		self += kernel(x[i], x[i])
	}
	want := 2 * ((all-self)/(n*(n-1)) - all/(n*n))
	got, err := metrics.KernelDistance(x, y)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(got-want) > 1e-12 {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestKIDRefuses(t *testing.T) {
	set := [][]float32{{1, 2}, {3, 4}, {5, 6}, {7, 8}}
	for want, call := range map[string]func() error{
		"2 images in each set: want at least 3": func() error { _, err := metrics.KernelDistance(set[:2], set[:2]); return err },
		"4 rows of 2 features and 3 rows of 2":  func() error { _, err := metrics.KernelDistance(set, set[:3]); return err },
		"real: no features":                     func() error { _, err := metrics.KernelDistance(nil, set); return err },
		"generated: feature row 1: 1 features":  func() error { _, err := metrics.KernelDistance(set, [][]float32{{1, 2}, {3}}); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
