package synth_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/synth"
	"pgregory.net/rapid"
)

// small is a configuration that takes little time: half of MIST's field, every pair of another patient.
func small() synth.Config {
	c := synth.Default()
	c.Size, c.PatientPairs = 256, 1
	return c
}

func generate(t testing.TB, c synth.Config, index int) synth.Pair {
	t.Helper()
	p, err := synth.Generate(context.Background(), c, index)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pairs are 30 of as many patients, made once for all tests that only look.
var pairs = sync.OnceValue(func() []synth.Pair {
	made := make([]synth.Pair, 30)
	var group sync.WaitGroup
	for i := range made {
		group.Go(func() {
			made[i], _ = synth.Generate(context.Background(), small(), i)
		})
	}
	group.Wait()
	return made
})

func TestGenerateReproducible(t *testing.T) {
	c := small()
	c.Size, c.PatientPairs, c.Misregistration = 96, 4, 6
	first := generate(t, c, 5)
	generate(t, c, 2) // what is made between leaves no trace
	if diff := cmp.Diff(first, generate(t, c, 5)); diff != "" {
		t.Errorf("the same seed and index give another pair (-first +second):\n%s", diff)
	}
	for name, change := range map[string]func(*synth.Config, *int){
		"seed":  func(c *synth.Config, _ *int) { c.Seed++ },
		"index": func(_ *synth.Config, index *int) { *index++ },
	} {
		d, index := c, 5
		change(&d, &index)
		other := generate(t, d, index)
		if slices.Equal(first.HE.Pix, other.HE.Pix) || slices.Equal(first.IHC.Pix, other.IHC.Pix) {
			t.Errorf("another %s gives the same pictures", name)
		}
	}
}

// What doesn't decide about a tissue leaves its H&E alone.
func TestMarkerLeavesHEAlone(t *testing.T) {
	c := small()
	c.Size = 128
	want := generate(t, c, 1).HE.Pix
	for _, m := range []synth.Marker{synth.PR, synth.Ki67, synth.HER2} {
		c.Marker = m
		if !slices.Equal(want, generate(t, c, 1).HE.Pix) {
			t.Errorf("the H&E of %s is not that of er", m)
		}
	}
}

func TestGenerateSizes(t *testing.T) {
	for _, test := range []struct {
		size int
		mpp  float64
	}{{64, 0.2}, {64, 4}, {65, 0.47}, {97, 1.88}, {100, 0.6}} {
		c := small()
		c.Size, c.MPP, c.Misregistration = test.size, test.mpp, 2
		p := generate(t, c, 3)
		for _, img := range []*imagefile.Image{p.HE, p.IHC} {
			if img.Width != test.size || img.Height != test.size || len(img.Pix) != 3*test.size*test.size {
				t.Errorf(
					"%d px of %g µm: a picture of %d×%d with %d values", test.size, test.mpp, img.Width, img.Height, len(img.Pix),
				)
			}
		}
	}
}

func TestPatients(t *testing.T) {
	c := small()
	c.Size, c.PatientPairs = 64, 2
	a, b, other := generate(t, c, 0).Truth, generate(t, c, 1).Truth, generate(t, c, 2).Truth
	if a.Patient != b.Patient || a.HE != b.HE || a.IHC != b.IHC {
		t.Errorf("pairs 0 and 1 are of patients %s and %s, with stains %v and %v", a.Patient, b.Patient, a.HE, b.HE)
	}
	if a.Slide == b.Slide {
		t.Errorf("both pairs are of slide %s, want two slides", a.Slide)
	}
	if a.Patient == other.Patient || a.HE == other.HE || a.IHC == other.IHC {
		t.Errorf("pairs 0 and 2 are of patients %s and %s, want other stains too: %v", a.Patient, other.Patient, a.HE)
	}
}

// Beer–Lambert and its inverse, with the stains that patients have.
func TestStainRoundTrip(t *testing.T) {
	c := small()
	c.Size = 64
	var stains []synth.Stain
	for i := range 8 {
		truth := generate(t, c, i).Truth
		stains = append(stains, truth.HE, truth.IHC)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(stains).Draw(t, "stain")
		h, e := rapid.Float64Range(0, 1.2).Draw(t, "haematoxylin"), rapid.Float64Range(0, 1.2).Draw(t, "second")
		gotH, gotE := concentrations(s, s.Light(h, e))
		if math.Abs(gotH-h) > 1e-9 || math.Abs(gotE-e) > 1e-9 {
			t.Fatalf("%g and %g come back as %g and %g", h, e, gotH, gotE)
		}
		for _, v := range []synth.Vector{s.Haematoxylin, s.Second} {
			if n := math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2]); math.Abs(n-1) > 1e-9 {
				t.Fatalf("the vector %v has length %g, want 1", v, n)
			}
		}
	})
}

// concentrations inverts Light by least squares over the three channels.
func concentrations(s synth.Stain, light [3]float64) (haematoxylin, second float64) {
	var hh, hs, ss, ho, so float64
	for k, l := range light {
		od := math.Log10(s.White[k] / max(l, 1))
		h, e := s.Haematoxylin[k], s.Second[k]
		hh, hs, ss = hh+h*h, hs+h*e, ss+e*e
		ho, so = ho+h*od, so+e*od
	}
	det := hh*ss - hs*hs
	return (ho*ss - so*hs) / det, (so*hh - ho*hs) / det
}

// region is the mean concentrations within a nucleus, scale times its size.
func region(
	img *imagefile.Image, s synth.Stain, n synth.Nucleus, x, y, mpp, scale float64,
) (haematoxylin, second float64, ok bool) {
	sin, cos := math.Sincos(n.Angle)
	a, b := n.A/mpp*scale, n.B/mpp*scale
	count := 0.0
	for j := int(y - a); j <= int(y+a); j++ {
		for i := int(x - a); i <= int(x+a); i++ {
			dx, dy := float64(i)+0.5-x, float64(j)+0.5-y
			if math.Hypot((dx*cos+dy*sin)/a, (dy*cos-dx*sin)/b) > 1 {
				continue
			}
			if i < 0 || j < 0 || i >= img.Width || j >= img.Height {
				return 0, 0, false
			}
			h, e := at(img, s, i, j)
			haematoxylin, second, count = haematoxylin+h, second+e, count+1
		}
	}
	return haematoxylin / count, second / count, count > 4
}

func at(img *imagefile.Image, s synth.Stain, i, j int) (haematoxylin, second float64) {
	p := img.Pix[3*(j*img.Width+i):]
	return concentrations(s, [3]float64{float64(p[0]), float64(p[1]), float64(p[2])})
}

// The marker follows from the morphology in the truth, whatever the pair, and each marker has positive and negative
// tumour cells.
func TestExpressionFollowsMorphology(t *testing.T) {
	for _, m := range []synth.Marker{synth.ER, synth.PR, synth.Ki67, synth.HER2} {
		c := small()
		c.Marker = m
		positive, tumour, others := 0, 0, 0
		for i := range 6 {
			truth := generate(t, c, i).Truth
			counted := 0
			for _, n := range truth.Nuclei {
				want := m.Express(n.Morphology)
				if math.Abs(n.Intensity-want) > 0.0006 || n.Positive != (want > 0) {
					t.Fatalf("%s: nucleus %+v has intensity %g, its morphology says %g", m, n, n.Intensity, want)
				}
				if n.Positive {
					counted++
				}
				if n.Kind != synth.Tumour {
					others++
					if n.Positive {
						t.Errorf("%s: a %s nucleus is positive", m, n.Kind)
					}
				}
			}
			if counted != truth.PositiveNuclei ||
				truth.TumourNuclei > 0 && math.Abs(truth.PositiveFraction-float64(counted)/float64(truth.TumourNuclei)) > 0.0006 {
				t.Errorf(
					"%s: %d positive of %d, fraction %g; the list has %d",
					m,
					truth.PositiveNuclei,
					truth.TumourNuclei,
					truth.PositiveFraction,
					counted,
				)
			}
			positive, tumour = positive+counted, tumour+truth.TumourNuclei
		}
		if share := float64(positive) / float64(tumour); share < 0.05 || share > 0.95 || others < tumour/10 {
			t.Errorf(
				"%s: %d of %d tumour nuclei are positive, with %d others: too one-sided to learn from",
				m,
				positive,
				tumour,
				others,
			)
		}
	}
}

// What decides about ER can be seen in the H&E: among tumour nuclei, the haematoxylin of the image tells positive ones
// apart.
func TestExpressionVisible(t *testing.T) {
	c := small()
	var positive, negative []float64
	for _, p := range pairs() {
		for _, n := range p.Truth.Nuclei {
			h, _, ok := region(p.HE, p.Truth.HE, n, n.X, n.Y, c.MPP, 0.7)
			switch {
			case !ok || n.Kind != synth.Tumour:
			case n.Positive:
				positive = append(positive, h)
			default:
				negative = append(negative, h)
			}
		}
	}
	// The area under the ROC curve: the share of pairs in the right order.
	right := 0
	for _, p := range positive {
		for _, n := range negative {
			if p < n {
				right++
			}
		}
	}
	auc := float64(right) / float64(len(positive)*len(negative))
	t.Logf("AUC %.3f of %d positive and %d negative nuclei", auc, len(positive), len(negative))
	if auc < 0.9 { // 0.5 would be chance
		t.Errorf(
			"the mean haematoxylin tells %d positive from %d negative nuclei with an AUC of %.3f, want 0.9",
			len(positive),
			len(negative),
			auc,
		)
	}
}

// The share of DAB that colour deconvolution finds in the IHC image is that of the truth.
func TestDABFollowsTruth(t *testing.T) {
	c := small()
	var measured, known []float64
	for _, p := range pairs() {
		brown, blue := 0.0, 0.0
		for j := range c.Size {
			for k := range c.Size {
				h, d := at(p.IHC, p.Truth.IHC, k, j)
				switch {
				case d > 0.55:
					brown++
				case h > 0.3:
					blue++
				}
			}
		}
		positive, all := 0.0, 0.0
		for _, n := range p.Truth.Nuclei {
			area := n.A * n.B
			all += area
			if n.Positive {
				positive += area
			}
		}
		measured, known = append(measured, brown/(brown+blue)), append(known, positive/all)
	}
	r := correlation(measured, known)
	t.Logf("r = %.3f", r)
	if r < 0.9 {
		t.Errorf(
			"the measured share of DAB correlates with the truth by %.3f, want 0.9\nmeasured %.2f\nknown    %.2f",
			r,
			measured,
			known,
		)
	}
}

func correlation(a, b []float64) float64 {
	var sa, sb, saa, sbb, sab float64
	for i := range a {
		sa, sb = sa+a[i], sb+b[i]
		saa, sbb, sab = saa+a[i]*a[i], sbb+b[i]*b[i], sab+a[i]*b[i]
	}
	n := float64(len(a))
	return (sab - sa*sb/n) / math.Sqrt((saa-sa*sa/n)*(sbb-sb*sb/n))
}

// Nuclei lie in both images where the truth says; without misregistration at one place.
func TestNucleiInPlace(t *testing.T) {
	for _, limit := range []float64{0, 10} {
		c := small()
		c.Misregistration = limit
		nuclei, found, foundDAB, positives := 0, 0, 0, 0
		moved := 0.0
		for i := range 6 {
			p := generate(t, c, i)
			for _, n := range p.Truth.Nuclei {
				d := math.Hypot(n.IHCX-n.X, n.IHCY-n.Y)
				moved = max(moved, d)
				if d > limit+0.002 {
					t.Fatalf("misregistration %g: a nucleus moved by %g pixels", limit, d)
				}
				he, _, ok := region(p.HE, p.Truth.HE, n, n.X, n.Y, c.MPP, 0.7)
				h, dab, ok2 := region(p.IHC, p.Truth.IHC, n, n.IHCX, n.IHCY, c.MPP, 0.7)
				if !ok || !ok2 || n.B < 1.5 {
					continue
				}
				nuclei++
				if he > 0.3 && h+dab > 0.25 { // stroma has 0.1 in both
					found++
				}
				if n.Positive {
					positives++
				}
				if n.Positive && dab > 0.25*n.Intensity || !n.Positive && dab < 0.25 {
					foundDAB++
				}
			}
		}
		// Nuclei overlap in a section, and some hide others.
		if float64(found) < 0.97*float64(nuclei) || float64(foundDAB) < 0.97*float64(nuclei) || positives < 50 {
			t.Errorf(
				"misregistration %g: of %d nuclei, %d positive, %d are seen in both pictures and %d have the DAB they should",
				limit,
				nuclei,
				positives,
				found,
				foundDAB,
			)
		}
		if limit > 0 && moved < limit/3 {
			t.Errorf("misregistration %g moved nothing by more than %g", limit, moved)
		}
	}
}

// HER2 stains the border of a positive cell, not its nucleus.
func TestHER2OnMembrane(t *testing.T) {
	c := small()
	c.Marker = synth.HER2
	cells, right := 0, 0
	for i := range 3 {
		p := generate(t, c, i)
		for _, n := range p.Truth.Nuclei {
			if n.Kind != synth.Tumour || n.Intensity < 0.5 {
				continue
			}
			_, nucleus, ok := region(p.IHC, p.Truth.IHC, n, n.IHCX, n.IHCY, c.MPP, 0.7)
			_, cell, ok2 := region(p.IHC, p.Truth.IHC, n, n.IHCX, n.IHCY, c.MPP, 1.9)
			if ok && ok2 {
				cells++
				if cell > nucleus+0.1*n.Intensity {
					right++
				}
			}
		}
	}
	if cells < 20 || float64(right) < 0.95*float64(cells) {
		t.Errorf("of %d positive cells, %d have more DAB around the nucleus than in it", cells, right)
	}
}

// shift by which the nuclei of the two images fit best, in whole pixels up to reach.
func bestShift(p synth.Pair, reach int) (dx, dy int) {
	n := p.HE.Width
	a, b := make([]float64, n*n), make([]float64, n*n)
	for j := range n {
		for i := range n {
			h, _ := at(p.HE, p.Truth.HE, i, j)
			g, d := at(p.IHC, p.Truth.IHC, i, j)
			a[j*n+i], b[j*n+i] = min(h, 0.5), min(g+d, 0.5)
		}
	}
	best := -1.0
	for sy := -reach; sy <= reach; sy++ {
		for sx := -reach; sx <= reach; sx++ {
			var u, v []float64
			for j := reach; j < n-reach; j++ {
				u = append(u, a[j*n+reach:(j+1)*n-reach]...)
				v = append(v, b[(j+sy)*n+reach+sx:(j+sy+1)*n-reach+sx]...)
			}
			if r := correlation(u, v); r > best {
				best, dx, dy = r, sx, sy
			}
		}
	}
	return dx, dy
}

func TestPicturesRegistered(t *testing.T) {
	for i, p := range pairs()[:5] {
		if dx, dy := bestShift(p, 3); dx != 0 || dy != 0 {
			t.Errorf("pair %d: the IHC fits the H&E best when shifted by (%d, %d), want no shift", i, dx, dy)
		}
	}
}

// The colours are those of a real pair of 512 px of breast tissue (ER, 0.47 µm/px): red, green and blue, mean and
// deviation. Patients differ by about ±20; the mean of 30 lies closer.
func TestColoursLikeReal(t *testing.T) {
	real := [2][6]float64{
		{151.8, 89.3, 157.5, 43.2, 43.9, 35.4},
		{163.8, 156.3, 164.4, 51.8, 58.9, 64.2},
	}
	var got [2][6]float64
	count := float64(len(pairs()))
	for _, p := range pairs() {
		for k, img := range []*imagefile.Image{p.HE, p.IHC} {
			var sum, sq [3]float64
			for q, v := range img.Pix {
				sum[q%3] += float64(v)
				sq[q%3] += float64(v) * float64(v)
			}
			n := float64(len(img.Pix) / 3)
			for ch := range 3 {
				mean := sum[ch] / n
				got[k][ch] += mean / count
				got[k][ch+3] += math.Sqrt(sq[ch]/n-mean*mean) / count
			}
		}
	}
	for k, stain := range []string{"H&E", "IHC"} {
		t.Logf("%s %.1f, real %.1f", stain, got[k], real[k])
		for q := range 6 {
			if math.Abs(got[k][q]-real[k][q]) > 22 {
				t.Errorf("%s: mean and deviation of red, green, blue are %.0f, of a real picture %.0f", stain, got[k], real[k])
				break
			}
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*synth.Config)
		want   []string
	}{
		{"pairs", func(c *synth.Config) { c.Pairs = -1 }, []string{"pairs is -1, must be 0..100000"}},
		{"val pairs", func(c *synth.Config) { c.ValPairs = -2 }, []string{"val pairs is -2, must be 0..100000"}},
		{"patient pairs", func(c *synth.Config) { c.PatientPairs = 0 }, []string{"patient pairs is 0, must be 1..1000"}},
		{"size", func(c *synth.Config) { c.Size = 63 }, []string{"size is 63, must be 64..2048"}},
		{"mpp", func(c *synth.Config) { c.MPP = math.NaN() }, []string{"mpp is NaN, must be 0.2..4"}},
		{"marker", func(c *synth.Config) { c.Marker = "ER" }, []string{`marker is "ER", must be er, pr, ki67 or her2`}},
		{"misregistration", func(c *synth.Config) { c.Misregistration = 65 }, []string{"misregistration is 65, must be 0..64"}},
		{"quality", func(c *synth.Config) { c.Quality = 0 }, []string{"quality is 0, must be 1..100"}},
		{"workers", func(c *synth.Config) { c.Workers = -1 }, []string{"workers is -1, must be 0..1024"}},
		{"field", func(c *synth.Config) { c.Size, c.MPP = 2048, 1 }, []string{"size × mpp in µm is 2048, must be 0..1100"}},
		{"displacement", func(c *synth.Config) { c.MPP, c.Misregistration = 1, 40 }, []string{"misregistration × mpp in µm is 40, must be 0..30"}},
		{"several", func(c *synth.Config) { c.Size, c.Quality = 0, 101 }, []string{"size is 0", "quality is 101"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := synth.Default()
			test.change(&c)
			_, err := synth.Generate(context.Background(), c, 0)
			if err == nil {
				t.Fatal("no error")
			}
			if err2 := synth.Write(context.Background(), t.TempDir(), c, nil); err2 == nil || err2.Error() != err.Error() {
				t.Errorf("Generate says %q, Write says %v", err, err2)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q doesn't say %q", err, want)
				}
			}
		})
	}
	if _, err := synth.Generate(context.Background(), synth.Default(), -1); err == nil ||
		!strings.Contains(err.Error(), "index is -1") {
		t.Errorf("index -1: %v", err)
	}
}

func TestGenerateCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := synth.Generate(ctx, synth.Default(), 0); err == nil {
		t.Error("a cancelled context gives a pair")
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, bench := range []struct {
		name string
		size int
		mpp  float64
	}{{"512px_0.47um", 512, 0.47}, {"128px_0.47um", 128, 0.47}, {"128px_1.88um", 128, 1.88}} {
		b.Run(bench.name, func(b *testing.B) {
			c := synth.Default()
			c.Size, c.MPP, c.PatientPairs = bench.size, bench.mpp, 1
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				generate(b, c, i%8)
			}
		})
	}
}
