package stain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/experiments/metrics/stats"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/stain"
	"pgregory.net/rapid"
)

// reference is what the golden JSON says of stains, by NumPy and scikit-image.
type reference struct {
	Stains struct {
		Crops []struct {
			QuPathReal float64 `json:"qupath_dab90_real"`
			QuPathFake float64 `json:"qupath_dab90_fake"`
			HEDReal    float64 `json:"skimage_dab90_real"`
			HEDFake    float64 `json:"skimage_dab90_fake"`
		} `json:"crops"`
		QuPathMatrix [3]stain.Vector `json:"qupath_matrix_rows_h_dab_residual"`
		HEDMatrix    [3]stain.Vector `json:"skimage_rgb_from_hed"`
		QuPathR      float64         `json:"pearson_r_qupath"`
		HEDR         float64         `json:"pearson_r_skimage"`
	} `json:"stains"`
}

func open(t *testing.T) (*golden.File, reference) {
	t.Helper()
	f := golden.Open(t, "metrics.safetensors")
	text, err := os.ReadFile(golden.Path(t, "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r reference
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Stains.Crops) == 0 {
		t.Fatal("the golden set has no crops")
	}
	return f, r
}

func picture(t *testing.T, f *golden.File, name string) *imagefile.Image {
	t.Helper()
	x := f.Uint8(t, name)
	return &imagefile.Image{Width: x.Shape[1], Height: x.Shape[0], Pix: x.Data}
}

// must returns a separator.
func must(t testing.TB) func(*stain.Separator, error) *stain.Separator {
	return func(p *stain.Separator, err error) *stain.Separator {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// separated returns the concentrations of the three dyes in each pixel, [H,W,3].
func separated(t interface{ Fatal(...any) }, p *stain.Separator, img *imagefile.Image) []float64 {
	out := make([]float64, len(img.Pix))
	for k, dye := range p.Stains().Dyes {
		table, err := p.Table(dye)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(out); i += 3 {
			out[i+k] = table.At(img.Pix[i], img.Pix[i+1], img.Pix[i+2])
		}
	}
	return out
}

// within is the tolerance for sums in another order, given for all stain measures.
func within(got, want float64) bool { return math.Abs(got-want) <= 1e-9 }

// TestSeparate verifies QuPath's and scikit-image's colour deconvolution (rgb2hed) in each pixel.
func TestSeparate(t *testing.T) {
	f, r := open(t)
	hdab, hed := must(t)(stain.New(stain.QuPathHDAB())), must(t)(stain.HED())
	for k, v := range r.Stains.QuPathMatrix {
		for c := range v {
			if got := hdab.Stains().Vectors[k]; !within(got[c], v[c]) {
				t.Errorf("QuPath's vector %d is %v, want %v", k, got, v)
			}
		}
	}
	if got := hed.Stains().Vectors; got != r.Stains.HEDMatrix {
		t.Errorf("HED's vectors are %v, want %v", got, r.Stains.HEDMatrix)
	}
	for i := range r.Stains.Crops {
		for _, tag := range []string{"real", "fake"} {
			name := fmt.Sprintf("stains/%d/%s/", i, tag)
			img := picture(t, f, name+"rgb")
			for key, p := range map[string]*stain.Separator{"qupath/64": hdab, "skimage_hed/64": hed} {
				golden.Within(t, separated(t, p, img), f.Float64(t, name+key).Data, golden.Tolerance{Atol: 1e-9})
			}
		}
	}
}

// TestMeanFromP90 verifies the mean of the strongest tenth and its correlation over the crops, by NumPy.
func TestMeanFromP90(t *testing.T) {
	f, r := open(t)
	values := map[string][]float64{}
	for i, crop := range r.Stains.Crops {
		for _, c := range []struct {
			key, tag  string
			want      float64
			separator *stain.Separator
		}{
			{"qupath real", "real", crop.QuPathReal, must(t)(stain.New(stain.QuPathHDAB()))},
			{"qupath fake", "fake", crop.QuPathFake, must(t)(stain.New(stain.QuPathHDAB()))},
			{"hed real", "real", crop.HEDReal, must(t)(stain.HED())},
			{"hed fake", "fake", crop.HEDFake, must(t)(stain.HED())},
		} {
			m, err := stain.Measure(
				picture(t, f, fmt.Sprintf("stains/%d/%s/rgb", i, c.tag)), c.separator, stain.DAB, stain.PositiveDAB,
			)
			if err != nil {
				t.Fatal(err)
			}
			if !within(m.MeanFromP90, c.want) {
				t.Errorf("crop %d, %s: %v, want %v", i, c.key, m.MeanFromP90, c.want)
			}
			values[c.key] = append(values[c.key], m.MeanFromP90)
		}
	}
	for key, want := range map[string]float64{"qupath": r.Stains.QuPathR, "hed": r.Stains.HEDR} {
		if got := stats.Pearson(values[key+" real"], values[key+" fake"]); !within(got, want) {
			t.Errorf("%s: r = %v, want %v", key, got, want)
		}
	}
}

// TestMeasure compares the measures with their definitions on the plane of concentrations.
func TestMeasure(t *testing.T) {
	separators := map[string]*stain.Separator{"H-DAB": must(t)(stain.New(stain.QuPathHDAB())), "HED": must(t)(stain.HED())}
	rapid.Check(t, func(t *rapid.T) {
		p := separators[rapid.SampledFrom([]string{"H-DAB", "HED"}).Draw(t, "separator")]
		img := imagefile.New(rapid.IntRange(1, 24).Draw(t, "width"), rapid.IntRange(1, 24).Draw(t, "height"))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		// Few grey levels make ties, also at the percentile.
		levels := rapid.SampledFrom([]int{1, 2, 3, 16, 256}).Draw(t, "levels")
		for i := range img.Pix {
			img.Pix[i] = uint8(r.IntN(levels) * 255 / max(1, levels-1))
		}
		threshold := rapid.Float64Range(-0.5, 2).Draw(t, "threshold")
		got, err := stain.Measure(img, p, stain.DAB, threshold)
		if err != nil {
			t.Fatal(err)
		}

		all := separated(t, p, img)
		var dab []float64
		for k, d := range p.Stains().Dyes {
			for i := k; d == stain.DAB && i < len(all); i += 3 {
				dab = append(dab, all[i])
			}
		}
		slices.Sort(dab)
		n := float64(len(dab))
		position := 0.9 * (n - 1)
		k := int(position)
		p90 := dab[k]
		if k+1 < len(dab) {
			p90 += (dab[k+1] - dab[k]) * (position - float64(k))
		}
		var sum, positive, positives, top, tops float64
		var histogram stain.Histogram
		for _, v := range dab {
			sum += v
			if v >= threshold*p.Unit() {
				positive += v
				positives++
			}
			if v >= got.P90 {
				top += v
				tops++
			}
			bin := int(math.Floor(v / (stain.BinWidth * p.Unit())))
			histogram.Counts[max(0, min(stain.Bins-1, bin))]++
		}
		for _, c := range []struct {
			name      string
			got, want float64
		}{
			{"pixels", float64(got.Pixels), n},
			{"mean", got.Mean, sum / n},
			{"p90", got.P90, p90},
			{"mean from p90", got.MeanFromP90, top / tops},
			{"positive fraction", got.PositiveFraction, positives / n},
			{"integrated positive", got.IntegratedPositive, positive},
		} {
			if !within(c.got, c.want) {
				t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
			}
		}
		if got.Histogram != histogram {
			t.Errorf("histogram %v, want %v", got.Histogram, histogram)
		}
	})
}

// slide paints an image of two dyes: pure dyes and mixtures on white glass.
func slide(s stain.Stains, seed uint64, side int, tissue float64) *imagefile.Image {
	r := rand.New(rand.NewPCG(seed, 7))
	img := imagefile.New(side, side)
	for i := 0; i < len(img.Pix); i += 3 {
		var a, b float64
		if r.Float64() < tissue {
			a, b = 0.5+r.Float64(), 0.5+r.Float64()
			switch r.IntN(4) {
			case 0:
				a = 0
			case 1:
				b = 0
			}
		}
		for c := range 3 {
			img.Pix[i+c] = uint8(s.White[c]*math.Pow(10, -a*s.Vectors[0][c]-b*s.Vectors[1][c]) + 0.5)
		}
	}
	return img
}

func degrees(a, b stain.Vector) float64 {
	return math.Acos(min(1, a[0]*b[0]+a[1]*b[1]+a[2]*b[2])) * 180 / math.Pi
}

// TestMacenko recovers vectors that an image was painted with: H&E, H-DAB, another white.
func TestMacenko(t *testing.T) {
	other := stain.Stains{
		Dyes: [3]stain.Dye{stain.Haematoxylin, stain.DAB}, White: [3]float64{232, 230, 240},
		Vectors: [3]stain.Vector{{0.58, 0.70, 0.42}, {0.36, 0.55, 0.75}},
	}
	for name, s := range map[string]stain.Stains{"H&E": stain.QuPathHE(), "H-DAB": stain.QuPathHDAB(), "other": other} {
		s = must(t)(stain.New(s)).Stains()
		got, err := stain.Macenko([]*imagefile.Image{slide(s, 5, 128, 0.6)}, s.Dyes[1], stain.MacenkoOptions{White: s.White})
		if err != nil {
			t.Fatal(err)
		}
		if got.Dyes != s.Dyes {
			t.Errorf("%s: dyes %v, want %v", name, got.Dyes, s.Dyes)
		}
		for k := range 2 {
			// 8 bits leave less than half a degree of doubt at these densities; the percentiles cut it off on either side.
			if d := degrees(got.Vectors[k], s.Vectors[k]); d > 1 {
				t.Errorf("%s: %s is %v, %.2f° off %v", name, s.Dyes[k], got.Vectors[k], d, s.Vectors[k])
			}
		}
	}
}

func TestMacenkoRefuses(t *testing.T) {
	s := must(t)(stain.New(stain.QuPathHDAB())).Stains()
	white := imagefile.New(64, 64)
	for i := range white.Pix {
		white.Pix[i] = 250
	}
	single := s
	single.Vectors[1] = single.Vectors[0]
	for name, c := range map[string]struct {
		img  *imagefile.Image
		says string
	}{
		"white":        {white, "0 of 4096 pixels"},
		"little":       {slide(s, 1, 128, 0.004), "almost white"},
		"a single dye": {slide(single, 1, 64, 0.7), "one dye"},
	} {
		_, err := stain.Macenko([]*imagefile.Image{c.img}, stain.DAB, stain.MacenkoOptions{})
		if !errors.Is(err, stain.ErrEstimate) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want ErrEstimate that says %q", name, err, c.says)
		}
	}
	for _, o := range []stain.MacenkoOptions{
		{Beta: -1}, {Beta: math.NaN()}, {Alpha: 50}, {White: [3]float64{255, 255, 300}},
	} {
		if _, err := stain.Macenko([]*imagefile.Image{white}, stain.DAB, o); err == nil || errors.Is(err, stain.ErrEstimate) {
			t.Errorf("%+v: error %v, want one about the options", o, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	h := stain.Vector{0.65, 0.70, 0.29}
	for name, c := range map[string]struct {
		stains stain.Stains
		says   string
	}{
		"equal":    {stain.Stains{Vectors: [3]stain.Vector{h, h}}, "no direction"},
		"no first": {stain.Stains{Vectors: [3]stain.Vector{{}, h}}, "no direction"},
		"NaN":      {stain.Stains{Vectors: [3]stain.Vector{h, {math.NaN(), 1, 1}}}, "no direction"},
		"plane":    {stain.Stains{Vectors: [3]stain.Vector{{1, 0, 0}, {0, 1, 0}, {1, 1, 0}}}, "one plane"},
		"white":    {stain.Stains{Vectors: [3]stain.Vector{h, {0.27, 0.57, 0.78}}, White: [3]float64{0, 255, 255}}, "1..255"},
	} {
		if _, err := stain.New(c.stains); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
	p := must(t)(stain.New(stain.QuPathHDAB()))
	if _, err := stain.Measure(imagefile.New(2, 2), p, stain.Eosin, 0.3); err == nil ||
		!strings.Contains(err.Error(), "no eosin") {
		t.Errorf("eosin on an H-DAB slide: error %v", err)
	}
	if _, err := stain.Measure(&imagefile.Image{Width: 2, Height: 2}, p, stain.DAB, 0.3); err == nil {
		t.Error("a picture without pixels is measured")
	}
	if _, err := stain.Measure(imagefile.New(2, 2), p, stain.DAB, math.NaN()); err == nil {
		t.Error("NaN is taken for a threshold")
	}
}

func TestDivergences(t *testing.T) {
	histogram := func(bins map[int]uint64) *stain.Histogram {
		var h stain.Histogram
		for k, n := range bins {
			h.Counts[k] = n
		}
		return &h
	}
	const many = 1 << 40 // so many pixels that the half pixel of KL counts for nothing
	for _, c := range []struct {
		name    string
		p, q    map[int]uint64
		kl, jsd float64
	}{
		{"equal", map[int]uint64{3: many, 9: many}, map[int]uint64{3: many, 9: many}, 0, 0},
		{"half", map[int]uint64{3: many}, map[int]uint64{3: many, 9: many}, 1, 0.5*math.Log2(1/0.75) + 0.5*(0.5*math.Log2(0.5/0.75)+0.5)},
		{"quarters", map[int]uint64{0: many, 1: 3 * many}, map[int]uint64{0: many, 1: many}, 0.25*math.Log2(0.5) + 0.75*math.Log2(1.5), 0.04879494069539858},
		{"apart", map[int]uint64{0: many}, map[int]uint64{1: many}, math.Log2(2 * many), 1},
	} {
		kl, err := stain.KL(histogram(c.p), histogram(c.q))
		if err != nil || math.Abs(kl-c.kl) > 1e-8 {
			t.Errorf("%s: KL %v (%v), want %v", c.name, kl, err, c.kl)
		}
		jsd, err := stain.JSD(histogram(c.p), histogram(c.q))
		if err != nil || !within(jsd, c.jsd) {
			t.Errorf("%s: JSD %v (%v), want %v", c.name, jsd, err, c.jsd)
		}
	}
	if _, err := stain.KL(histogram(nil), histogram(nil)); err == nil {
		t.Error("KL of nothing is no error")
	}
	if _, err := stain.JSD(histogram(nil), histogram(nil)); err == nil {
		t.Error("JSD of nothing is no error")
	}
}

// BenchmarkMeasure measures DAB in an image of MIST's size.
func BenchmarkMeasure(b *testing.B) {
	s := must(b)(stain.New(stain.QuPathHDAB()))
	img := slide(s.Stains(), 3, 1024, 0.7)
	b.SetBytes(int64(len(img.Pix)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := stain.Measure(img, s, stain.DAB, stain.PositiveDAB); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMacenko estimates the vectors of an image of MIST's size.
func BenchmarkMacenko(b *testing.B) {
	s := must(b)(stain.New(stain.QuPathHDAB())).Stains()
	img := slide(s, 3, 1024, 0.7)
	b.SetBytes(int64(len(img.Pix)))
	for b.Loop() {
		if _, err := stain.Macenko([]*imagefile.Image{img}, stain.DAB, stain.MacenkoOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestMacenkoOfSeveral estimates from two images, each of which shows one dye, what neither tells alone.
func TestMacenkoOfSeveral(t *testing.T) {
	s := must(t)(stain.New(stain.QuPathHDAB())).Stains()
	first, second := s, s
	first.Vectors[1], second.Vectors[0] = s.Vectors[0], s.Vectors[1]
	got, err := stain.Macenko(
		[]*imagefile.Image{slide(first, 1, 64, 0.7), slide(second, 2, 64, 0.7)}, stain.DAB, stain.MacenkoOptions{},
	)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 2 {
		if d := degrees(got.Vectors[k], s.Vectors[k]); d > 1 {
			t.Errorf("%s is %v, %.2f° off %v", s.Dyes[k], got.Vectors[k], d, s.Vectors[k])
		}
	}
	if _, err := stain.Macenko(nil, stain.DAB, stain.MacenkoOptions{}); err == nil || errors.Is(err, stain.ErrEstimate) {
		t.Errorf("no pictures: error %v", err)
	}
}

// BenchmarkPair is what a pair of MIST's size costs: SSIM, PSNR, and DAB in both images, on as many processors as there
// are.
func BenchmarkPair(b *testing.B) {
	p := must(b)(stain.New(stain.QuPathHDAB()))
	x, y := slide(p.Stains(), 3, 1024, 0.7), slide(p.Stains(), 4, 1024, 0.7)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := metrics.SSIM(x, y); err != nil {
				b.Error(err)
			}
			if _, err := metrics.PSNR(x, y); err != nil {
				b.Error(err)
			}
			for _, img := range []*imagefile.Image{x, y} {
				if _, err := stain.Measure(img, p, stain.DAB, stain.PositiveDAB); err != nil {
					b.Error(err)
				}
			}
		}
	})
}

// TestColours has colours by NumPy (QuPath's vectors) and scikit-image 0.26's rgb2hed, for builds without the golden
// set.
func TestColours(t *testing.T) {
	hdab, hed := must(t)(stain.New(stain.QuPathHDAB())), must(t)(stain.HED())
	for _, c := range []struct {
		rgb         [3]uint8
		qupath, hed []float64
	}{
		{[3]uint8{0, 0, 0}, []float64{2.345154715318744, 2.011403631047873, 0.5342260810701032}, []float64{1.2101673111892832, 0, 0.8819504551361967}},
		{[3]uint8{255, 255, 255}, []float64{0, 0, 0}, []float64{0, 0, 0}},
		{[3]uint8{1, 254, 128}, []float64{2.6347498519380457, -1.2252313273318924, 1.6125677844759585}, []float64{0.7231932311167957, 0, 0}},
		{[3]uint8{120, 80, 60}, []float64{0.1630307832313478, 0.7324685127400521, 0.037994317391831706}, []float64{0.03389351279249658, 0, 0.12309122791753957}},
		{[3]uint8{90, 70, 160}, []float64{0.7449705534591837, 0.002507821451739445, -0.052813916781655354}, []float64{0.1150942411615328, 0.0140115318611027, 0}},
	} {
		img := &imagefile.Image{Width: 1, Height: 1, Pix: c.rgb[:]}
		for want, p := range map[*[]float64]*stain.Separator{&c.qupath: hdab, &c.hed: hed} {
			golden.Within(t, separated(t, p, img), *want, golden.Tolerance{Atol: 1e-9})
		}
	}
}
