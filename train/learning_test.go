package train_test

import (
	"math/rand/v2"
	"testing"

	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// TestOneBatchIsLearntByHeart: with one batch, one noise and one time step for each of its examples, the reference
// data's network comes below a twentieth of the loss that it begins with.
func TestOneBatchIsLearntByHeart(t *testing.T) {
	c := train.Default()
	c.SNRGamma, c.MaxSteps, c.LearningRate.Warmup, c.LearningRate.Base, c.WeightDecay = 0, 100, 10, 3e-3, 0
	folder := golden.Path(t, "tiny/unet")
	network, err := unet.ReadConfig(folder + "/config.json")
	if err != nil {
		t.Fatal(err)
	}
	trainer, err := train.New(c, train.Options{
		Device: networktest.Open(t, networktest.Names()[0]), UNet: folder,
		Schedule: sdSchedule(t, c.Prediction),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	shape := [4]int{2, 8, 8, network.OutChannels}
	size := 2 * 8 * 8 * network.OutChannels
	e := train.Example{
		Shape: shape, Latents: normal(size), Condition: normal(size),
		Context: normal(2 * 5 * network.CrossAttentionDim),
	}
	d, err := train.Draw(rng.NewTorch(0), shape, 1000)
	if err != nil {
		t.Fatal(err)
	}
	first, last := 0.0, 0.0
	for step := range c.MaxSteps {
		if last, err = trainer.Accumulate(t.Context(), e, d); err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			first = last
		}
		if _, err := trainer.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("loss %.4f → %.6f", first, last)
	if !(last < first/20) {
		t.Errorf("loss %g after %d steps, began with %g", last, c.MaxSteps, first)
	}
}
