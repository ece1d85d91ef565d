package mosaic

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
)

// standIn are networks in which no pixel depends on its neighbours: nothing of them can tell where windows end.
type standIn struct {
	h, w                    int // of a window in latents
	calls, encoded, decoded int // windows
}

const (
	standInFactor = 4
	standInTokens = 3
)

func (s *standIn) Encode(_ context.Context, images []*imagefile.Image) (moments []float32, err error) {
	s.encoded += len(images)
	for _, m := range images {
		h, w := (m.Height+standInFactor-1)/standInFactor, (m.Width+standInFactor-1)/standInFactor
		for y := range h {
			for x := range w {
				p := m.Pix[(y*standInFactor*m.Width+x*standInFactor)*3:]
				r, g, b := float32(p[0])/255, float32(p[1])/255, float32(p[2])/255
				moments = append(moments, r, g, b, r-b, -4, -4, -3, -2)
			}
		}
	}
	return moments, nil
}

func (s *standIn) Tokens(_ context.Context, images []*imagefile.Image) ([]float32, error) {
	return make([]float32, len(images)*standInTokens), nil
}

func (s *standIn) Denoise(_ context.Context, timestep, n int, latents, condition, tokens []float32) ([]float32, error) {
	s.calls += n
	out := make([]float32, len(latents))
	for i, x := range latents {
		out[i] = 0.3*x + float32(timestep)/5000
		if tokens != nil {
			out[i] += condition[i]
		}
	}
	return out, nil
}

func (s *standIn) Decode(_ context.Context, n int, latents []float32) ([]float32, error) {
	s.decoded += n
	var values []float32
	for i := range n {
		window := latents[i*s.h*s.w*4:]
		for y := range s.h * standInFactor {
			for x := range s.w * standInFactor {
				p := window[(y/standInFactor*s.w+x/standInFactor)*4:]
				values = append(values, p[0]/4, p[1]/4, p[2]/4)
			}
		}
	}
	return values, nil
}

// rowsOf collects an image.
type rowsOf struct{ pix []uint8 }

func (s *rowsOf) Write(_ context.Context, rows []uint8) error {
	s.pix = append(s.pix, rows...)
	return nil
}

// throughStandIn translates with networks that see single pixels.
func throughStandIn(t rapid.TB, r Request) ([]uint8, Plan, *standIn) {
	t.Helper()
	v, err := r.prepare(model{window: 32, factor: standInFactor, tokenBytes: 4 * standInTokens})
	if err != nil {
		t.Fatal(err)
	}
	config := schedule.DefaultConfig()
	config.PredictionType, config.TimestepSpacing = schedule.VPrediction, schedule.Trailing
	config.RescaleBetasZeroSNR, config.ClipSample = true, false
	noise, err := schedule.New(config)
	if err != nil {
		t.Fatal(err)
	}
	n, s, sink := &standIn{h: v.layout.rows.window, w: v.layout.cols.window}, r.Sampling, &rowsOf{}
	w := &sampler{networks: n, settings: s, schedule: noise, channels: 4, scale: 0.18215, tokens: standInTokens}
	if w.inversion.Sampler, w.inversion.Steps, err = s.SolverInversion.Inversion(noise, s.StepsInversion); err != nil {
		t.Fatal(err)
	}
	if w.translation.Sampler, w.translation.Steps, err = s.Solver.Translation(noise, s.StepsTranslation); err != nil {
		t.Fatal(err)
	}
	if err := v.translateWith(context.Background(), w, sink); err != nil {
		t.Fatal(err)
	}
	return sink.pix, v.plan, n
}

func drawing(width, height int) *imagefile.Image {
	m := imagefile.New(width, height)
	for i := range m.Pix {
		m.Pix[i] = uint8(i*7 + i/width*3)
	}
	return m
}

// With networks that see no neighbours, an image in windows and regions is the image in one window, but for the
// rounding of blends: whatever the windows, overlaps, regions, solvers and batches are, nothing else of the mosaic can
// be seen.
func TestNothingButNetworksMakesSeamsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(33, 180)
		width, height := side.Draw(t, "width"), side.Draw(t, "height")
		r := Request{Source: Memory{drawing(width, height)}, Sampling: infer.DefaultSettings(), Settings: DefaultSettings()}
		r.Sampling.StepsInversion, r.Sampling.StepsTranslation = 2, 3
		if rapid.Bool().Draw(t, "multistep") {
			r.Sampling.SolverInversion, r.Sampling.Solver = schedule.SolverDPM, schedule.SolverSA
		}
		r.Sampling.Seed = rapid.Int64().Draw(t, "seed")
		r.Settings.Overlap = rapid.Float64Range(0, 0.5).Draw(t, "overlap")
		r.Settings.Independent = rapid.Bool().Draw(t, "independent")
		if rapid.Bool().Draw(t, "regions") { // each with the statistics of samples, which are others than those of all
			r.Settings.Region, r.Sampling.Normalize = 64, schedule.NormalizeNone
		}
		r.Batch = rapid.IntRange(1, 3).Draw(t, "batch")
		got, plan, n := throughStandIn(t, r)
		if plan.Calls != int64(n.calls) || plan.Encodes != int64(n.encoded) || plan.Decodes != int64(n.decoded) {
			t.Errorf("%d calls were planned, %d made, %d windows to encode, %d encoded, %d to decode, %d decoded",
				plan.Calls, n.calls, plan.Encodes, n.encoded, plan.Decodes, n.decoded)
		}
		whole := r
		whole.Settings = DefaultSettings()
		whole.Settings.Window = 192
		want, _, _ := throughStandIn(t, whole)
		for i, w := range want {
			if d := int(got[i]) - int(w); d < -1 || d > 1 {
				t.Fatalf("value %d is %d, in one window %d: %+v", i, got[i], w, plan)
			}
		}
	})
}
