package train_test

import (
	"math"
	"testing"

	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/train"
)

// In about half of the translations the noise is correlated with the condition, and has a variance of 1 in all of them.
func TestInvertedNoise(t *testing.T) {
	shape := [4]int{64, 16, 16, 4}
	size := shape[0] * shape[1] * shape[2] * shape[3]
	g := rng.NewTorch(1)
	e := train.Example{Shape: shape, Latents: make([]float32, size), Condition: make([]float32, size)}
	g.Normal(e.Condition, 1, 3)
	d, err := train.Draw(g, shape, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range d.Timesteps {
		d.Timesteps[i] = 999 // where the SNR is 0: what is seen is the noise
	}
	s := schedule.DefaultConfig()
	s.PredictionType, s.RescaleBetasZeroSNR = schedule.VPrediction, true
	noise, err := schedule.New(s)
	if err != nil {
		t.Fatal(err)
	}
	c := train.Default()
	c.InvertedNoise = true
	inverted := 0
	seen := diffused(t, c, noise, e, d)
	for i := range shape[0] {
		var product, squares, condition, mean float64
		n := float64(size / shape[0])
		for j := i * size / shape[0]; j < (i+1)*size/shape[0]; j++ {
			h, z := float64(e.Condition[j]-1)/3, float64(seen[j])
			product, squares, condition, mean = product+h*z, squares+z*z, condition+h*h, mean+z
		}
		r := product / math.Sqrt(squares*condition)
		var want float64
		if draw := float64(d.Offset[i*shape[3]]); draw > 0 {
			inverted++
			want = (0.6 + 0.5*draw) / math.Hypot(1, 0.6+0.5*draw)
		}
		if math.Abs(r-want) > 0.15 {
			t.Errorf("example %d: correlation %.2f with the condition, want %.2f", i, r, want)
		}
		if v := squares/n - mean*mean/n/n; math.Abs(v-1) > 0.25 {
			t.Errorf("example %d: noise of variance %.2f", i, v)
		}
	}
	if inverted < shape[0]/4 || inverted > shape[0]*3/4 {
		t.Errorf("%d of %d examples have an inversion's noise", inverted, shape[0])
	}
	c.InvertedNoise = false
	without := diffused(t, c, noise, e, d)
	e.Condition, c.InvertedNoise = nil, true
	generation := diffused(t, c, noise, e, d)
	for i := range without {
		if without[i] != generation[i] {
			t.Fatal("a generation has no H&E that its noise could be like")
		}
	}
}

// diffused are an example's noisy latents [N,H,W,C].
func diffused(t *testing.T, c train.Config, s *schedule.Schedule, e train.Example, d train.Draws) []float32 {
	t.Helper()
	sample, err := c.Sample(s, e, d)
	if err != nil {
		t.Fatal(err)
	}
	channels := e.Shape[3]
	noisy := make([]float32, 0, len(sample)/2)
	for i := 0; i < len(sample); i += 2 * channels {
		noisy = append(noisy, sample[i:i+channels]...)
	}
	return noisy
}
