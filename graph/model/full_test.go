package model_test

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// full is the golden file of the networks at full size, whose weights and inputs are made by formula.
type full struct {
	*golden.File
	weights formula.Weights
	info    struct {
		Seed   uint64
		Gain   float64
		Models map[string]struct{ Tensors map[string][]int }
	}
	tolerances map[string]struct {
		Suggested float64 `json:"suggested_abs"`
	}
}

func openFull(t *testing.T) *full {
	if os.Getenv("HISTDIST_FULL") == "" {
		t.Skip("takes 8 GB of memory and minutes: run make test-full")
	}
	f := &full{File: golden.Open(t, "full_size.safetensors")}
	for name, into := range map[string]any{"full_size.json": &f.info, "tolerances-b/full_size.json": &f.tolerances} {
		text, err := os.ReadFile(golden.Path(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	f.weights = formula.Weights{Seed: f.info.Seed, Gain: f.info.Gain}
	return f
}

// input makes an input by formula, [N,C,H,W] or [N,L,C], and brings it into our layout.
func (f *full) input(name string, a float64, shape ...int) golden.Tensor[float32] {
	n := 1
	for _, d := range shape {
		n *= d
	}
	x := golden.Tensor[float32]{Shape: shape, Data: formula.Tensor(f.weights.Seed, "input/"+name, n, float32(a), 0)}
	if len(shape) == 4 {
		return golden.NHWC(x)
	}
	return x
}

// compute binds weights by formula to a network, whose parameters must be the file's, and runs it.
func (f *full) compute(t *testing.T, d device.Device, model string, s *op.Scope, out *gorgonia.Node,
	feeds vm.Feeds,
) golden.Tensor[float32] {
	known := f.info.Models[model].Tensors
	for _, p := range s.Params() {
		if _, ok := known[p.Name()]; !ok {
			t.Errorf("%s has no parameter %s", model, p.Name())
		}
	}
	m, err := f.weights.Bind(s.Params())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	return networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{out}, feeds)[0]
}

func (f *full) compare(t *testing.T, name string, got golden.Tensor[float32]) {
	want := f.Float32(t, name)
	if len(want.Shape) == 4 {
		want = golden.NHWC(want)
	}
	tolerance, ok := f.tolerances[strings.Replace(name, "/", " ", 1)]
	if !ok { // the U-Net at 64×64 latents has no tolerance of its own
		tolerance = f.tolerances["unet sample_t500"]
	}
	golden.Within(t, got.Data, want.Data, golden.Tolerance{Atol: tolerance.Suggested})
}

// corner cuts the first h×w pixels of all channels out of x [N,H,W,C].
func corner(x golden.Tensor[float32], h, w int) golden.Tensor[float32] {
	c := x.Shape[3]
	y := golden.Tensor[float32]{Shape: []int{1, h, w, c}}
	for i := range h {
		y.Data = append(y.Data, x.Data[i*x.Shape[2]*c:i*x.Shape[2]*c+w*c]...)
	}
	return y
}

func TestFullSize(t *testing.T) {
	f := openFull(t)
	root3 := math.Sqrt(3)
	// ref takes minutes at this size and is compared at the small one.
	d := networktest.Open(t, "auto")
	runUNet := func(t *testing.T, sample, context golden.Tensor[float32], timestep float32) golden.Tensor[float32] {
		n, err := unet.Build(unet.SD15(),
			unet.Size{Batch: 1, Height: sample.Shape[1], Width: sample.Shape[2], Tokens: context.Shape[1]})
		if err != nil {
			t.Fatal(err)
		}
		return f.compute(t, d, "unet", n.Scope, n.Output, vm.Feeds{
			n.Sample: networktest.Dense(sample), n.Context: networktest.Dense(context),
			n.Timesteps: networktest.Dense(golden.Tensor[float32]{Shape: []int{1}, Data: []float32{timestep}}),
		})
	}
	t.Run("unet 16", func(t *testing.T) {
		f.compare(t, "unet/sample_t500",
			runUNet(t, f.input("sample", root3, 1, 8, 16, 16), f.input("context", root3, 1, 77, 768), 500))
	})
	t.Run("unet 64", func(t *testing.T) {
		const name = "unet/sample64_t999_corner8x8"
		want := f.Shape(t, name)
		got := runUNet(t, f.input("sample64", root3, 1, 8, 64, 64), f.input("phikon", root3, 1, 197, 768), 999)
		f.compare(t, name, corner(got, want[2], want[3]))
	})
	t.Run("vae encoder", func(t *testing.T) {
		x := f.input("image", 1, 1, 3, 128, 128)
		e, err := vae.NewEncoder(vae.SD15(), vae.Size{Batch: 1, Height: 128, Width: 128})
		if err != nil {
			t.Fatal(err)
		}
		f.compare(t, "vae/moments", f.compute(t, d, "vae", e.Scope, e.Moments, vm.Feeds{e.Image: networktest.Dense(x)}))
	})
	t.Run("vae decoder", func(t *testing.T) {
		x := f.input("latent", root3, 1, 4, 16, 16)
		n, err := vae.NewDecoder(vae.SD15(), vae.Size{Batch: 1, Height: 16, Width: 16})
		if err != nil {
			t.Fatal(err)
		}
		f.compare(t, "vae/decoded", f.compute(t, d, "vae", n.Scope, n.Image, vm.Feeds{n.Latents: networktest.Dense(x)}))
	})
	t.Run("vit", func(t *testing.T) {
		n, err := vit.Build(vit.Phikon(), 1)
		if err != nil {
			t.Fatal(err)
		}
		x := f.input("pixels", root3, 1, 3, 224, 224)
		f.compare(t, "vit/last_hidden_state",
			f.compute(t, d, "vit", n.Scope, n.LastHiddenState, vm.Feeds{n.Pixels: networktest.Dense(x)}))
	})
	t.Run("text", func(t *testing.T) {
		ids := f.Int64(t, "text/input_ids")
		n, err := clip.Build(clip.SD15(), ids.Shape[0], ids.Shape[1])
		if err != nil {
			t.Fatal(err)
		}
		f.compare(t, "text/last_hidden_state",
			f.compute(t, d, "text", n.Scope, n.LastHiddenState, vm.Feeds{n.IDs: networktest.IDs(ids)}))
	})
}
