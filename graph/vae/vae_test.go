package vae_test

import (
	"fmt"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// folders are one autoencoder, as diffusers saves it today and as it did before 0.12.
var folders = []string{"tiny/vae", "tiny-legacy-vae"}

func config(t *testing.T, folder string) vae.Config {
	c, err := vae.ReadConfig(golden.Path(t, folder+"/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// decoderOnly and encoderOnly are what is left over in a file of which the other half is used.
func decoderOnly(name string) bool { return vae.IsDecoder(name) }

func encoderOnly(name string) bool { return !vae.IsDecoder(name) }

// half is one half of the autoencoder with what it is fed and what it gives.
type half struct {
	scope    *op.Scope
	in       *gorgonia.Node
	outputs  gorgonia.Nodes
	names    []string // of the outputs in the golden file, below the image's number
	leftover func(string) bool
}

func encoder(t *testing.T, c vae.Config, image golden.Tensor[float32]) half {
	e, err := vae.NewEncoder(c, vae.Size{Batch: image.Shape[0], Height: image.Shape[1], Width: image.Shape[2]})
	if err != nil {
		t.Fatal(err)
	}
	return half{e.Scope, e.Image, gorgonia.Nodes{e.Moments, e.Mode}, []string{"moments", "mode"}, decoderOnly}
}

func decoder(t *testing.T, c vae.Config, latents golden.Tensor[float32]) half {
	d, err := vae.NewDecoder(c, vae.Size{Batch: latents.Shape[0], Height: latents.Shape[1], Width: latents.Shape[2]})
	if err != nil {
		t.Fatal(err)
	}
	return half{d.Scope, d.Latents, gorgonia.Nodes{d.Image}, []string{"decoded"}, encoderOnly}
}

// check compares all outputs, and the marked values that the file has, with the file's.
func (h half) check(t *testing.T, d device.Device, f *golden.File, folder, image string, in golden.Tensor[float32]) {
	networktest.Bind(t, h.scope.Params(), folder, weights.Mapping{Rename: vae.Rename, Ignore: h.leftover})
	for _, name := range f.Names() {
		tap, ok := strings.CutPrefix(name, image+"/tap/")
		if ok && !strings.HasSuffix(tap, "conv_norm_out") { // comes after its SiLU in our graph
			if n := h.scope.Marked(tap); n != nil {
				h.outputs, h.names = append(h.outputs, n), append(h.names, "tap/"+tap)
			}
		}
	}
	got := networktest.Compute(t, vm.Options{Device: d}, h.outputs, vm.Feeds{h.in: networktest.Dense(in)})
	for i, name := range h.names {
		t.Run(name, func(t *testing.T) {
			want := golden.NHWC(f.Float32(t, image+"/"+name))
			golden.Within(t, got[i].Data, want.Data, f.Tolerance(t, strings.TrimPrefix(name, "tap/")))
		})
	}
	if taps := len(h.names) - 2; image == "0" && taps < 4 {
		t.Errorf("%d values of blocks were compared, want at least 4", taps)
	}
}

// images lists the numbers of the images in the golden file.
func images(f *golden.File) []string {
	var names []string
	for _, n := range f.Names() {
		if name, ok := strings.CutSuffix(n, "/moments"); ok && f.Has(name+"/decoded") {
			names = append(names, name)
		}
	}
	return names
}

// scaled returns latents / scaling_factor, computed as diffusers does.
func scaled(latents golden.Tensor[float32], c vae.Config) golden.Tensor[float32] {
	x := golden.Tensor[float32]{Shape: latents.Shape, Data: make([]float32, len(latents.Data))}
	for i, v := range latents.Data {
		x.Data[i] = v / float32(c.ScalingFactor)
	}
	return x
}

func TestEqualsDiffusers(t *testing.T) {
	f := golden.Open(t, "vae.safetensors")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		for _, folder := range folders {
			c := config(t, folder)
			for _, image := range images(f) {
				t.Run(fmt.Sprintf("%s/%s encode", folder, image), func(t *testing.T) {
					x := golden.NHWC(f.Float32(t, image+"/image"))
					encoder(t, c, x).check(t, d, f, folder, image, x)
				})
				t.Run(fmt.Sprintf("%s/%s decode", folder, image), func(t *testing.T) {
					z := scaled(golden.NHWC(f.Float32(t, image+"/latents")), c)
					decoder(t, c, z).check(t, d, f, folder, image, z)
				})
			}
		}
	})
}

func TestBFloat16(t *testing.T) {
	f := golden.Open(t, "vae.safetensors")
	c := config(t, folders[0])
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		if !d.Has(device.BFloat16) {
			t.Skip("the device has no bfloat16")
		}
		x, z := golden.NHWC(f.Float32(t, "0/image")), scaled(golden.NHWC(f.Float32(t, "0/latents")), c)
		for _, h := range []struct {
			half
			in golden.Tensor[float32]
		}{{encoder(t, c, x), x}, {decoder(t, c, z), z}} {
			networktest.Bind(t, h.scope.Params(), folders[0], weights.Mapping{Ignore: h.leftover})
			t.Run(h.names[0], func(t *testing.T) {
				feeds := vm.Feeds{h.half.in: networktest.Dense(h.in)}
				networktest.BFloat16(t, d, h.scope.Params(), h.outputs[0], feeds, golden.NHWC(f.Float32(t, "0/"+h.names[0])).Data)
			})
		}
	})
}

// Both halves can be differentiated: all parameters get a gradient that is finite and the same on all devices.
func TestGradients(t *testing.T) {
	f := golden.Open(t, "vae.safetensors")
	c := config(t, folders[0])
	var first []golden.Tensor[float32]
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		x := golden.NHWC(f.Float32(t, "0/image"))
		s := op.NewScope("vae")
		in := s.Input("image", x.Shape...)
		moments := vae.Encode(s, in, c)
		image := vae.Decode(s, op.Slice{Axis: 3, Offset: 0, Length: c.LatentChannels}.Apply(s, moments), c)
		loss := op.MSE{}.Apply(s, image, in, nil)
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		networktest.Bind(t, s.Params(), folders[0], weights.Mapping{})
		grads, err := graph.Gradients(loss, s.Params()...)
		if err != nil {
			t.Fatal(err)
		}
		got := networktest.Compute(t, vm.Options{Device: d, Recompute: true}, grads, vm.Feeds{in: networktest.Dense(x)})
		if first == nil {
			first = got
			return
		}
		for i, p := range s.Params() {
			// 100 times float32's rounding, and for gradients that are 0 in theory 1e-6 of the largest that occur.
			if off := networktest.Relative(t, got[i].Data, first[i].Data); !(off <= 1e-4) && !small(first[i].Data) {
				t.Errorf("gradient of %s: relative difference %.3g between devices", p.Name(), off)
			}
		}
	})
}

func small(x []float32) bool {
	for _, v := range x {
		if v > 1e-6 || v < -1e-6 {
			return false
		}
	}
	return true
}
