package mosaic

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/synth"
)

// timed are networks whose time is summed.
type timed struct {
	networks
	took time.Duration
}

func (t *timed) since(begin time.Time) { t.took += time.Since(begin) }

func (t *timed) Encode(ctx context.Context, images []*imagefile.Image) ([]float32, error) {
	defer t.since(time.Now())
	return t.networks.Encode(ctx, images)
}

func (t *timed) Tokens(ctx context.Context, images []*imagefile.Image) ([]float32, error) {
	defer t.since(time.Now())
	return t.networks.Tokens(ctx, images)
}

func (t *timed) Denoise(ctx context.Context, step, n int, latents, condition, tokens []float32) ([]float32, error) {
	defer t.since(time.Now())
	return t.networks.Denoise(ctx, step, n, latents, condition, tokens)
}

func (t *timed) Decode(ctx context.Context, n int, latents []float32) ([]float32, error) {
	defer t.since(time.Now())
	return t.networks.Decode(ctx, n, latents)
}

const benchWidth, benchHeight = 8192, 5120

// repeated writes a slide of one square of synthetic tissue, repeated, whose pixels are of mpp micrometres.
func repeated(b *testing.B, path string, mpp float64) {
	b.Helper()
	c := synth.Default()
	c.Size = tiff.SlideTile
	pair, err := synth.Generate(b.Context(), c, 0)
	if err != nil {
		b.Fatal(err)
	}
	w, err := tiff.CreateSlide(path, tiff.SlideOptions{
		Width: benchWidth, Height: benchHeight, MPP: [2]float64{mpp, mpp}, Quality: 90,
	})
	if err != nil {
		b.Fatal(err)
	}
	columns, rows := w.Tiles()
	for i := range columns * rows {
		if err := w.WriteTile(i%columns, i/columns, pair.HE.Pix); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkEverythingButNetworks reads, masks, resamples, blends, encodes and writes slides that were scanned at 20×
// and 40×, and says how many of their pixels it writes a second, without the time of the networks that stand in. A CPU
// profile has the parts.
func BenchmarkEverythingButNetworks(b *testing.B) {
	for _, mpp := range []float64{0.499, 0.25} {
		b.Run(fmt.Sprintf("mpp=%g", mpp), func(b *testing.B) {
			folder := b.TempDir()
			he := filepath.Join(folder, "he.ome.tiff")
			repeated(b, he, mpp)
			var took, networks time.Duration
			for b.Loop() {
				begin := time.Now()
				networks += throughCoarse(b, he, filepath.Join(folder, "out.ome.tiff"))
				took += time.Since(begin)
			}
			mpx := float64(benchWidth*benchHeight) / 1e6 * float64(b.N)
			b.ReportMetric(mpx/(took-networks).Seconds(), "Mpx/s")
			b.ReportMetric(networks.Seconds()/float64(b.N), "s-networks/op")
		})
	}
}

// throughCoarse translates a slide with networks of the sizes of Stable Diffusion's and returns how long these took.
func throughCoarse(t testing.TB, he, output string) time.Duration {
	t.Helper()
	s, err := slide.Open(he, slide.Options{Library: slide.NoLibrary})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := &input{mpp: DefaultMPP}
	if err := in.use(s); err != nil {
		t.Fatal(err)
	}
	width, height := in.Size()
	found, err := tissue.Choose(t.Context(), s, tissue.Auto)
	if err != nil {
		t.Fatal(err)
	}
	r := Request{
		Source: in.Source, Mask: coarse(found, width, height), Folder: filepath.Join(t.TempDir(), "parts"),
		Sampling: infer.DefaultSettings(), Settings: DefaultSettings(),
	}
	r.Sampling.StepsInversion, r.Sampling.StepsTranslation = 1, 3
	v, err := r.prepare(model{window: 512, factor: coarseFactor, tokenBytes: 4 * coarseTokens})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(v.plan)
	w, err := tiff.CreateSlide(output, tiff.SlideOptions{Width: s.Width, Height: s.Height, MPP: s.MPP, Quality: 90})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	n := &timed{networks: coarseStandIn{v.layout.rows.window, v.layout.cols.window}}
	by := standInSampler(t, n, r.Sampling)
	by.tokens = coarseTokens
	var sink Sink = &tiled{w: w, width: s.Width, height: s.Height}
	if width != s.Width || height != s.Height {
		sink = &resized{to: sink, width: width, height: height, toW: s.Width, toH: s.Height}
	}
	if err := v.translateWith(t.Context(), by, sink); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return n.took
}
