package unet_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// goldenCase is a network built for one case of the golden file, with its weights and feeds.
type goldenCase struct {
	*unet.Network
	file  *golden.File
	name  string
	feeds vm.Feeds
}

func newCase(t *testing.T, f *golden.File, name string) goldenCase {
	c, err := unet.ReadConfig(golden.Path(t, "tiny/unet/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	sample, context := golden.NHWC(f.Float32(t, name+"/sample")), f.Float32(t, name+"/context")
	n, err := unet.Build(c, unet.Size{
		Batch: sample.Shape[0], Height: sample.Shape[1], Width: sample.Shape[2],
		Tokens: context.Shape[1],
	})
	if err != nil {
		t.Fatal(err)
	}
	networktest.Bind(t, n.Scope.Params(), "tiny/unet", weights.Mapping{})
	return goldenCase{Network: n, file: f, name: name, feeds: vm.Feeds{
		n.Sample: networktest.Dense(sample), n.Context: networktest.Dense(context),
		n.Timesteps: networktest.Numbers(f.Int64(t, name+"/timesteps")),
	}}
}

// cases lists the cases of the file.
func cases(f *golden.File) []string {
	var names []string
	for _, n := range f.Names() {
		if name, ok := strings.CutSuffix(n, "/output"); ok {
			names = append(names, name)
		}
	}
	return names
}

func (c goldenCase) has(quantity string) bool { return c.file.Has(c.name + "/" + quantity) }

// want is a tensor of the case in our layout.
func (c goldenCase) want(t *testing.T, quantity string) golden.Tensor[float32] {
	x := c.file.Float32(t, c.name+"/"+quantity)
	if len(x.Shape) == 4 {
		return golden.NHWC(x)
	}
	return x
}

func TestOutputsEqualDiffusers(t *testing.T) {
	f := golden.Open(t, "unet.safetensors")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		for _, name := range cases(f) {
			t.Run(name, func(t *testing.T) {
				c := newCase(t, f, name)
				outputs, quantities := gorgonia.Nodes{c.Output}, []string{"output"}
				for _, n := range f.Names() {
					tap, ok := strings.CutPrefix(n, name+"/tap/")
					if !ok || tap == "conv_norm_out" { // comes after its SiLU in our graph
						continue
					}
					marked := c.Scope.Marked(tap)
					if marked == nil {
						t.Errorf("nothing is marked %s", tap)
						continue
					}
					outputs, quantities = append(outputs, marked), append(quantities, "tap/"+tap)
				}
				got := networktest.Compute(t, vm.Options{Device: d}, outputs, c.feeds)
				for i, q := range quantities {
					tolerance := "output " + name
					if tap, ok := strings.CutPrefix(q, "tap/"); ok {
						if tolerance = tap; tap == "time_proj" {
							tolerance = "time_embedding" // has none of its own
						}
					}
					t.Run(q, func(t *testing.T) { golden.Within(t, got[i].Data, c.want(t, q).Data, f.Tolerance(t, tolerance)) })
				}
			})
		}
	})
}

func TestGradientsEqualDiffusers(t *testing.T) {
	f := golden.Open(t, "unet.safetensors")
	var parameters []string
	f.MetadataJSON(t, "parameters", &parameters)
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		for _, name := range cases(f) {
			if !f.Has(name + "/loss") {
				continue
			}
			for _, recompute := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s recompute %v", name, recompute), func(t *testing.T) {
					c := newCase(t, f, name)
					target := c.want(t, "target")
					goal := c.Scope.Input("target", target.Shape...)
					c.feeds[goal] = networktest.Dense(target)
					loss := op.MSE{}.Apply(c.Scope, c.Output, goal, nil)
					if err := c.Scope.Err(); err != nil {
						t.Fatal(err)
					}
					wrt := gorgonia.Nodes{c.Sample, c.Context}
					for _, p := range parameters {
						wrt = append(wrt, c.Scope.Leaf(p))
					}
					grads, err := graph.Gradients(loss, wrt...)
					if err != nil {
						t.Fatal(err)
					}
					got := networktest.Compute(t, vm.Options{Device: d, Recompute: recompute}, append(gorgonia.Nodes{loss}, grads...),
						c.feeds)
					compareGradients(t, c, parameters, got)
				})
			}
		}
	})
}

func compareGradients(t *testing.T, c goldenCase, parameters []string, got []golden.Tensor[float32]) {
	f := c.file
	golden.Within(t, got[0].Data, c.want(t, "loss").Data, f.Tolerance(t, "loss"))
	golden.Within(t, got[1].Data, c.want(t, "grad/sample").Data, f.Tolerance(t, "grad sample"))
	golden.Within(t, got[2].Data, c.want(t, "grad/context").Data, f.Tolerance(t, "grad context"))
	norms := make([]float32, len(parameters))
	for i, p := range parameters {
		g := got[3+i]
		sum := 0.0
		for _, x := range g.Data {
			sum += float64(x) * float64(x)
		}
		norms[i] = float32(math.Sqrt(sum))
		if !c.has("grad/unet." + p) {
			continue
		}
		want := f.Float32(t, c.name+"/grad/unet."+p)
		if len(want.Shape) == 4 {
			want = golden.HWIO(want)
		}
		t.Run(p, func(t *testing.T) {
			golden.Within(t, g.Data, want.Data, f.Tolerance(t, "grad of parameters ("+c.name+", worst)"))
		})
	}
	golden.Within(t, norms, c.want(t, "grad_norms").Data, f.Tolerance(t, "grad_norms"))
}

func TestBFloat16(t *testing.T) {
	f := golden.Open(t, "unet.safetensors")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		if !d.Has(device.BFloat16) {
			t.Skip("the device has no bfloat16")
		}
		for _, name := range cases(f) {
			t.Run(name, func(t *testing.T) {
				c := newCase(t, f, name)
				networktest.BFloat16(t, d, c.Scope.Params(), c.Output, c.feeds, c.want(t, "output").Data)
			})
		}
	})
}

func TestWiden(t *testing.T) {
	f := golden.Open(t, "unet_widen.safetensors")
	before, after := f.Float32(t, "before/weight"), f.Float32(t, "after/weight")
	weight, shape, err := unet.Widen(before.Data, before.Shape, after.Shape[1])
	if err != nil {
		t.Fatal(err)
	}
	golden.Within(t, weight, after.Data, golden.Tolerance{})
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		sample := golden.NHWC(f.Float32(t, "sample"))
		s := op.NewScope("conv_in")
		x := s.Input("sample", sample.Shape...)
		kernel := golden.HWIO(golden.Tensor[float32]{Shape: shape, Data: weight})
		w, b := s.Input("weight", kernel.Shape...), s.Input("bias", kernel.Shape[3])
		out := op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}}.Apply(s, x, w, b, nil)
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		got := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{out}, vm.Feeds{
			x: networktest.Dense(sample), w: networktest.Dense(kernel), b: networktest.Dense(f.Float32(t, "before/bias")),
		})
		golden.Within(t, got[0].Data, golden.NHWC(f.Float32(t, "output")).Data, f.Tolerance(t, "conv_in output"))
	})
	if _, _, err := unet.Widen(after.Data, after.Shape, before.Shape[1]-1); err == nil {
		t.Error("a narrower conv_in is no error")
	}
	if _, _, err := unet.Widen(before.Data[1:], before.Shape, after.Shape[1]); err == nil {
		t.Error("a weight that doesn't fit its shape is no error")
	}
}
