package nuclei_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics/stats"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
	"github.com/histdist/histdist/internal/synth"
)

// tissue makes pairs of different patients whose slides differ in staining.
func tissue(t *testing.T, marker synth.Marker, seed uint64, n int) []synth.Pair {
	t.Helper()
	c := synth.Default()
	c.Size, c.Marker, c.PatientPairs, c.Seed = 320, marker, 1, seed
	pairs := make([]synth.Pair, n)
	for i := range pairs {
		p, err := synth.Generate(context.Background(), c, i)
		if err != nil {
			t.Fatal(err)
		}
		pairs[i] = p
	}
	return pairs
}

// separator is one for an image's own stains, estimated from nothing but the image.
func separator(t *testing.T, img *imagefile.Image) *stain.Separator {
	t.Helper()
	white := glass(img)
	s, err := stain.Macenko([]*imagefile.Image{img}, stain.DAB, stain.MacenkoOptions{White: white})
	if errors.Is(err, stain.ErrEstimate) { // no DAB
		s = stain.QuPathHDAB()
		s.White = white
	} else if err != nil {
		t.Fatal(err)
	}
	p, err := stain.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// glass is the light next to the tissue: the 99th percentile of each channel.
func glass(img *imagefile.Image) (white [3]float64) {
	for c := range white {
		var values []uint8
		for i := c; i < len(img.Pix); i += 3 {
			values = append(values, img.Pix[i])
		}
		slices.Sort(values)
		white[c] = float64(values[len(values)-1-len(values)/100])
	}
	return white
}

// point is a place in pixels.
type point struct{ x, y float64 }

// match pairs nuclei with places at most radius pixels away, nearest first, each at most once.
func match(d *nuclei.Detection, places []point, radius float64) (pairs [][2]int) {
	type candidate struct {
		distance float64
		pair     [2]int
	}
	var all []candidate
	for i, n := range d.Nuclei {
		for j, p := range places {
			if r := math.Hypot(n.X-p.x, n.Y-p.y); r <= radius {
				all = append(all, candidate{r, [2]int{i, j}})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var taken [2]map[int]bool
	taken[0], taken[1] = map[int]bool{}, map[int]bool{}
	for _, c := range all {
		if !taken[0][c.pair[0]] && !taken[1][c.pair[1]] {
			taken[0][c.pair[0]], taken[1][c.pair[1]] = true, true
			pairs = append(pairs, c.pair)
		}
	}
	return pairs
}

func truth(p synth.Pair) (places []point, positive float64) {
	for _, n := range p.Truth.Nuclei {
		places = append(places, point{n.IHCX, n.IHCY})
		if n.Positive {
			positive++
		}
	}
	return places, positive / float64(len(places))
}

// found counts over images how many detected and true nuclei there are and how many of them lie within 3 µm of each
// other.
type found struct{ detected, true, both int }

func (f *found) add(t *testing.T, d *nuclei.Detection, places []point, mpp float64) {
	t.Helper()
	f.detected += len(d.Nuclei)
	f.true += len(places)
	f.both += len(match(d, places, 3/mpp))
}

func (f *found) atLeast(t *testing.T, precision, recall float64) {
	t.Helper()
	p, r := float64(f.both)/float64(f.detected), float64(f.both)/float64(f.true)
	t.Logf("precision %.3f, recall %.3f of %d nuclei", p, r, f.true)
	if p < precision || r < recall {
		t.Errorf("precision %.3f and recall %.3f, want at least %v and %v", p, r, precision, recall)
	}
}

// TestSyntheticTissue finds nuclei whose places and stain are known, of patients that the detector's constants weren't
// chosen on, and compares the fraction that DAB stains with the truth. Measured with the seeds 101..104, 24 images
// each: precision 0.93..0.96, recall 0.88..0.91, r 0.983..0.999 for ER, PR and Ki-67. With QuPath's default vectors r
// was 0.15..0.73, for they take the counterstain of negative nuclei for DAB beyond 0.2.
func TestSyntheticTissue(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 48 pictures")
	}
	for _, marker := range []synth.Marker{synth.ER, synth.Ki67} {
		t.Run(string(marker), func(t *testing.T) {
			var all found
			var estimated, positive []float64
			for _, p := range tissue(t, marker, 101, 24) {
				places, fraction := truth(p)
				d, err := nuclei.Detect(p.IHC, separator(t, p.IHC), nuclei.Options{MPP: p.Truth.MPP})
				if err != nil {
					t.Fatal(err)
				}
				all.add(t, d, places, p.Truth.MPP)
				grades, err := d.Grade(nuclei.QuPathThresholds())
				if err != nil {
					t.Fatal(err)
				}
				s, err := grades.Scores()
				if err != nil {
					t.Fatal(err)
				}
				estimated, positive = append(estimated, s.Ki67Index/100), append(positive, fraction)
			}
			r := stats.Pearson(estimated, positive)
			all.atLeast(t, 0.87, 0.83)
			t.Logf("r = %.3f", r)
			if !(r >= 0.93) {
				t.Errorf("the positive fraction correlates with the truth by r = %.3f, want at least 0.93", r)
			}
		})
	}
}

// TestHaematoxylinSignal finds nuclei of H&E images, and those of HER2, whose membranes are as dark as nuclei. Measured
// with the seeds 101..104, 24 images each: precision 0.83..0.87 and recall 0.92..0.93 on H&E, 0.92..0.94 and 0.92..0.93
// on HER2, where red density gives 0.78..0.82 and 0.78..0.83. Nuclei of the two images of the pairs here have a Dice of
// 0.886..0.962.
func TestHaematoxylinSignal(t *testing.T) {
	he, err := stain.New(stain.QuPathHE())
	if err != nil {
		t.Fatal(err)
	}
	var onHE, onHER2 found
	var previous *nuclei.Detection
	for _, p := range tissue(t, synth.HER2, 101, 8) {
		places, _ := truth(p)
		o := nuclei.Options{MPP: p.Truth.MPP, Signal: nuclei.HaematoxylinDensity}
		a, err := nuclei.Detect(p.HE, he, o)
		if err != nil {
			t.Fatal(err)
		}
		b, err := nuclei.Detect(p.IHC, separator(t, p.IHC), o)
		if err != nil {
			t.Fatal(err)
		}
		onHE.add(t, a, places, p.Truth.MPP)
		onHER2.add(t, b, places, p.Truth.MPP)
		same, err := nuclei.Dice(a, b)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: Dice %.3f", p.Truth.Name, same)
		if same < 0.8 {
			t.Errorf("%s: the nuclei of H&E and IHC have a Dice of %.3f, want at least 0.8", p.Truth.Name, same)
		}
		if previous != nil {
			if other, err := nuclei.Dice(previous, b); err != nil || other > same/2 {
				t.Errorf("%s: those of another tissue have a Dice of %.3f (%v), of the same %.3f", p.Truth.Name, other, err, same)
			}
		}
		previous = a
	}
	onHE.atLeast(t, 0.75, 0.83)
	onHER2.atLeast(t, 0.85, 0.85)
}

// BenchmarkDetect is an image of MIST's size.
func BenchmarkDetect(b *testing.B) {
	c := synth.Default()
	c.Size = 1024
	p, err := synth.Generate(context.Background(), c, 1)
	if err != nil {
		b.Fatal(err)
	}
	s, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nuclei.Detect(p.IHC, s, nuclei.Options{MPP: c.MPP}); err != nil {
			b.Fatal(err)
		}
	}
}
