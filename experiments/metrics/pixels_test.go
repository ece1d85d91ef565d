package metrics_test

import (
	"encoding/json"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/internal/golden"
	"pgregory.net/rapid"
)

// score is a number of a golden JSON file, which writes those that JSON lacks as strings.
type score float64

func (s *score) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	*s = score(v)
	return err
}

// pixelScores reads the golden scores of pairs of images by name.
func pixelScores(t *testing.T) (*golden.File, map[string]map[string]score) {
	t.Helper()
	f := golden.Open(t, "metrics.safetensors")
	text, err := os.ReadFile(golden.Path(t, "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	var scores struct {
		Pairs map[string]struct {
			PSNR score `json:"psnr"`
			SSIM score `json:"ssim"`
		} `json:"ssim_psnr"`
	}
	if err := json.Unmarshal(text, &scores); err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]score{}
	for name, s := range scores.Pairs {
		out[name] = map[string]score{"PSNR": s.PSNR, "SSIM": s.SSIM}
	}
	if len(out) == 0 {
		t.Fatal("the golden set has no pairs of pictures")
	}
	return f, out
}

func picture(t *testing.T, f *golden.File, name string) *imagefile.Image {
	t.Helper()
	x := f.Uint8(t, name)
	return &imagefile.Image{Width: x.Shape[1], Height: x.Shape[0], Pix: x.Data}
}

type pixelMetric struct {
	name  string
	score func(a, b *imagefile.Image) (float64, error)
}

func pixelMetrics() []pixelMetric {
	return []pixelMetric{{"SSIM", metrics.SSIM}, {"PSNR", metrics.PSNR}}
}

// TestPixelMetrics verifies the scores of scikit-image (structural_similarity, peak_signal_noise_ratio). The tolerance
// is for its own sums in float64.
func TestPixelMetrics(t *testing.T) {
	f, want := pixelScores(t)
	for name, scores := range want {
		fake, real := picture(t, f, "pictures/"+name+"/fake"), picture(t, f, "pictures/"+name+"/real")
		for _, m := range pixelMetrics() {
			t.Run(name+"/"+m.name, func(t *testing.T) {
				got, err := m.score(fake, real)
				if err != nil {
					t.Fatal(err)
				}
				// Not the difference alone: +Inf is equal to itself and to nothing else.
				if w := float64(scores[m.name]); got != w && !(math.Abs(got-w) <= 1e-9) {
					t.Errorf("%v, want %v", got, w)
				}
			})
		}
	}
}

// TestSSIMByDefinition compares with the definition, window by window in float64, on sizes of which some are shared by
// two goroutines.
func TestSSIMByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(7, 20).Draw(t, "width"), rapid.SampledFrom([]int{7, 8, 13, 69, 70, 71, 90}).Draw(t, "height")
		step := rapid.IntRange(0, 255).Draw(t, "step")
		seed := rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "values")
		a, b := imagefile.New(w, h), imagefile.New(w, h)
		for i := range a.Pix {
			a.Pix[i] = seed[i%61] ^ uint8(i*step)
			b.Pix[i] = a.Pix[i] ^ seed[i%64]>>2
		}
		got, err := metrics.SSIM(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if want := ssimByDefinition(a, b); !(math.Abs(got-want) <= 1e-9) {
			t.Errorf("%d×%d: %v, want %v", w, h, got, want)
		}
	})
}

func ssimByDefinition(a, b *imagefile.Image) float64 {
	const c1, c2 = (0.01 * 255) * (0.01 * 255), (0.03 * 255) * (0.03 * 255)
	total, windows := 0.0, 0
	for top := range a.Height - 6 {
		for left := range a.Width - 6 {
			for c := range 3 {
				each := func(visit func(x, y float64)) {
					for i := range 49 {
						at := 3*((top+i/7)*a.Width+left+i%7) + c
						visit(float64(a.Pix[at]), float64(b.Pix[at]))
					}
				}
				var mx, my, vx, vy, cov float64
				each(func(x, y float64) { mx, my = mx+x/49, my+y/49 })
				each(func(x, y float64) { vx, vy, cov = vx+(x-mx)*(x-mx)/48, vy+(y-my)*(y-my)/48, cov+(x-mx)*(y-my)/48 })
				total += (2*mx*my + c1) * (2*cov + c2) / ((mx*mx + my*my + c1) * (vx + vy + c2))
				windows++
			}
		}
	}
	return total / float64(windows)
}

func TestPixelMetricsRefuse(t *testing.T) {
	whole := imagefile.New(9, 8)
	cases := []struct {
		name   string
		a, b   *imagefile.Image
		says   string
		metric []int // of pixelMetrics
	}{
		{"sizes", whole, imagefile.New(8, 9), "9×8 and 8×9", []int{0, 1}},
		{"small", imagefile.New(6, 9), imagefile.New(6, 9), "at least 7×7", []int{0}},
		{"flat", imagefile.New(9, 6), imagefile.New(9, 6), "at least 7×7", []int{0}},
		{"nil", whole, nil, "nil", []int{0, 1}},
		{"cut off", whole, &imagefile.Image{Width: 9, Height: 8, Pix: make([]uint8, 9*8)}, "72 values", []int{0, 1}},
		{"empty", &imagefile.Image{}, &imagefile.Image{}, "and at least one pixel", []int{0, 1}},
	}
	for _, c := range cases {
		for _, k := range c.metric {
			m := pixelMetrics()[k]
			t.Run(c.name+"/"+m.name, func(t *testing.T) {
				if _, err := m.score(c.a, c.b); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v, want one that says %q", err, c.says)
				}
			})
		}
	}
}

// BenchmarkPixelMetrics is one pair of MIST's size: SSIM and PSNR. B/op counts what is allocated, MB/s pixel values of
// one image.
func BenchmarkPixelMetrics(b *testing.B) {
	x, y := imagefile.New(1024, 1024), imagefile.New(1024, 1024)
	for i := range x.Pix {
		x.Pix[i], y.Pix[i] = uint8(i*i>>9), uint8(i*i>>9)^uint8(i*7>>4)
	}
	for _, m := range pixelMetrics() {
		b.Run(m.name, func(b *testing.B) {
			b.SetBytes(int64(len(x.Pix)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.score(x, y); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestPixelMetricsOfFormula has the scores of scikit-image 0.26 for images by a formula, for builds without the golden
// set.
func TestPixelMetricsOfFormula(t *testing.T) {
	a, b := imagefile.New(12, 9), imagefile.New(12, 9)
	for i := range a.Pix {
		x, y, c := i/3%12, i/36, i%3
		a.Pix[i], b.Pix[i] = uint8(x*x*37+y*11+c*50), uint8(x*x*37+y*13+c*50+x*y)
	}
	for k, want := range []float64{0.3473793153252919, 9.795995528187145} {
		m := pixelMetrics()[k]
		if got, err := m.score(a, b); err != nil || !(math.Abs(got-want) <= 1e-9) {
			t.Errorf("%s: %v (%v), want %v", m.name, got, err, want)
		}
	}
}
