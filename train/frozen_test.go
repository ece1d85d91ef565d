package train_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// openTiny opens the reference's tiny pipeline.
func openTiny(t *testing.T) *model.Model {
	t.Helper()
	m, err := model.Open(golden.Path(t, "tiny"), model.Options{Phikon: golden.Path(t, "tiny-phikon")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// compute runs a network of the model.
func compute(
	t *testing.T, d device.Device, bind func(gorgonia.Nodes) error, params gorgonia.Nodes, out, in *gorgonia.Node,
	x *tensor.Dense,
) []float32 {
	t.Helper()
	if err := bind(params); err != nil {
		t.Fatal(err)
	}
	return networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{out}, vm.Feeds{in: x})[0].Data
}

// trainStep are the numbers that PyTorch draws for a training step after a seed, in training.py's order.
func trainStep(t *testing.T) (seed int64, f *golden.File, prefix string, shape [4]int) {
	f = golden.Open(t, "rng.safetensors")
	for _, name := range f.Names() {
		if _, err := fmt.Sscanf(name, "s%d/train_step/posterior", &seed); err == nil {
			s := f.Shape(t, name)
			return seed, f, fmt.Sprintf("s%d/train_step/", seed), [4]int{s[0], s[2], s[3], s[1]}
		}
	}
	t.Skip("the set has no training step")
	return 0, nil, "", shape
}

// TestFrozen compares each value of an example with its network, run by itself, and every number that is drawn with
// PyTorch's.
func TestFrozen(t *testing.T) {
	seed, draws, prefix, shape := trainStep(t)
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		m := openTiny(t)
		f, err := train.NewFrozen(t.Context(), m,
			train.FrozenOptions{Options: vm.Options{Device: d}, Prompt: "H&E", CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if shape[3] != m.VAE.LatentChannels {
			t.Skip("the draws are for another number of channels")
		}
		factor := m.VAE.Factor()
		pairs := train.Batch{N: shape[0], Height: shape[1] * factor, Width: shape[2] * factor}
		r := rand.New(rand.NewPCG(1, 1))
		for range pairs.N * pairs.Height * pairs.Width * 3 {
			pairs.HE, pairs.IHC = append(pairs.HE, uint8(r.IntN(256))), append(pairs.IHC, uint8(r.IntN(256)))
		}
		encode := func(rgb []uint8) (mean, deviation []float32) {
			n, err := vae.NewEncoder(m.VAE, vae.Size{Batch: pairs.N, Height: pairs.Height, Width: pairs.Width})
			if err != nil {
				t.Fatal(err)
			}
			x := make([]float32, len(rgb))
			for i, v := range rgb {
				x[i] = 2*(float32(v)/255) - 1
			}
			moments := compute(t, d, m.BindEncoder, n.Scope.Params(), n.Moments, n.Image,
				tensor.New(tensor.WithShape(pairs.N, pairs.Height, pairs.Width, 3), tensor.WithBacking(x)))
			mean, _, deviation = vae.Moments(moments, m.VAE.LatentChannels)
			return mean, deviation
		}
		// Both sides are float32: each may be as far from the exact value as the reference's tolerance says.
		near := func(quantity string, got, want []float32) {
			t.Helper()
			file, quantity, _ := strings.Cut(quantity, " ")
			tolerance := golden.ToleranceOf(t, file, quantity, want)
			tolerance.Atol *= 2
			golden.Within(t, got, want, tolerance)
		}
		posterior := golden.NHWC(draws.Float32(t, prefix+"posterior")).Data
		for range 2 { // from the cache the second time
			for _, task := range []train.Task{train.Generation, train.Translation} {
				g := rng.NewTorch(seed)
				e, err := f.Encode(t.Context(), pairs, task, g)
				if err != nil {
					t.Fatal(err)
				}
				target := pairs.HE
				if task == train.Translation {
					target = pairs.IHC
				}
				mean, deviation := encode(target)
				for i := range mean {
					mean[i] = float32(m.VAE.ScalingFactor) * (mean[i] + deviation[i]*posterior[i])
				}
				near("vae sample", e.Latents, mean)
				if task == train.Generation {
					if e.Condition != nil {
						t.Error("a generation has a condition")
					}
					near("text last_hidden_state", e.Context, slices.Repeat(textStates(t, d, m), pairs.N))
				} else {
					mode, _ := encode(pairs.HE)
					near("vae mode", e.Condition, mode)
					near("vit last_hidden_state", e.Context, visionStates(t, d, m, pairs))
				}
				drawn, err := train.Draw(g, e.Shape, 1000)
				if err != nil {
					t.Fatal(err)
				}
				exact := golden.Tolerance{Atol: 4e-6}
				golden.Within(t, drawn.Noise, golden.NHWC(draws.Float32(t, prefix+"noise")).Data, exact)
				golden.Within(t, drawn.Offset, draws.Float32(t, prefix+"offset").Data, exact)
				golden.Within(t, drawn.Perturbation, golden.NHWC(draws.Float32(t, prefix+"perturbation")).Data, exact)
				for i, want := range draws.Int64(t, prefix+"timesteps").Data {
					if drawn.Timesteps[i] != int(want) {
						t.Errorf("timestep %d is %d, want %d", i, drawn.Timesteps[i], want)
					}
				}
			}
		}
	})
}

func textStates(t *testing.T, d device.Device, m *model.Model) []float32 {
	n, err := clip.Build(m.Text, 1, m.Text.MaxPositionEmbeddings)
	if err != nil {
		t.Fatal(err)
	}
	ids := tensor.New(tensor.WithShape(1, m.Text.MaxPositionEmbeddings), tensor.WithBacking(m.Tokenizer.Encode("H&E")))
	return compute(t, d, m.BindText, n.Scope.Params(), n.LastHiddenState, n.IDs, ids)
}

func visionStates(t *testing.T, d device.Device, m *model.Model, p train.Batch) []float32 {
	n, err := vit.Build(m.ViT, p.N)
	if err != nil {
		t.Fatal(err)
	}
	var pixels []float32
	size := len(p.HE) / p.N
	for i := range p.N {
		x, err := m.Preprocessor.PreprocessTraining(p.HE[i*size:(i+1)*size], p.Width, p.Height)
		if err != nil {
			t.Fatal(err)
		}
		pixels = append(pixels, x...)
	}
	x := tensor.New(tensor.WithShape(p.N, m.ViT.ImageSize, m.ViT.ImageSize, 3), tensor.WithBacking(pixels))
	return compute(t, d, m.BindViT, n.Scope.Params(), n.LastHiddenState, n.Pixels, x)
}

func TestFrozenRefusesImages(t *testing.T) {
	m := openTiny(t)
	f, err := train.NewFrozen(t.Context(), m,
		train.FrozenOptions{Options: vm.Options{Device: networktest.Open(t, "ref")}, Prompt: "H&E"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	odd := m.VAE.Factor() + 1
	for name, p := range map[string]train.Batch{
		"too few bytes":  {N: 1, Height: 8, Width: 8, HE: make([]uint8, 5), IHC: make([]uint8, 192)},
		"none":           {},
		"not a multiple": {N: 1, Height: odd, Width: odd, HE: make([]uint8, 3*odd*odd), IHC: make([]uint8, 3*odd*odd)},
	} {
		if _, err := f.Encode(t.Context(), p, train.Generation, rng.NewTorch(0)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
