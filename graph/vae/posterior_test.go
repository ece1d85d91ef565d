package vae_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// posteriors lists the cases with a sample: the images, and moments beyond the clamp.
func posteriors(f *golden.File) []string {
	var names []string
	for _, n := range f.Names() {
		if name, ok := strings.CutSuffix(n, "/sample"); ok {
			names = append(names, name)
		}
	}
	return names
}

// ulps is the rounding of both sides: exp to 1 or 2 units in the last place, a product and a sum.
const ulps = 4 * 0x1p-23

// closely reports elements that are off by more than rounding of numbers of the given sizes.
func closely(t *testing.T, got, want []float32, size func(i int) float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d elements, want %d", len(got), len(want))
	}
	for i, w := range want {
		if off := math.Abs(float64(got[i]) - float64(w)); !(off <= ulps*size(i)) {
			t.Errorf("element %d is %v, want %v", i, got[i], w)
		}
	}
}

func TestMomentsEqualDiffusers(t *testing.T) {
	f := golden.Open(t, "vae.safetensors")
	for _, name := range posteriors(f) {
		t.Run(name, func(t *testing.T) {
			moments := golden.NHWC(f.Float32(t, name+"/moments"))
			mean, logvar, std := vae.Moments(moments.Data, moments.Shape[3]/2)
			want := func(quantity string) []float32 { return golden.NHWC(f.Float32(t, name+"/"+quantity)).Data }
			if diff := cmp.Diff(want("mean"), mean); diff != "" {
				t.Errorf("mean (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want("logvar"), logvar); diff != "" {
				t.Errorf("logvar (-want +got):\n%s", diff)
			}
			closely(t, std, want("std"), func(i int) float64 { return float64(want("std")[i]) })
		})
	}
}

func TestSampleEqualsDiffusers(t *testing.T) {
	f := golden.Open(t, "vae.safetensors")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		for _, name := range posteriors(f) {
			t.Run(name, func(t *testing.T) {
				moments, noise := golden.NHWC(f.Float32(t, name+"/moments")), golden.NHWC(f.Float32(t, name+"/noise"))
				s := op.NewScope("vae")
				m, n := s.Input("moments", moments.Shape...), s.Input("noise", noise.Shape...)
				sample := vae.Sample(s, m, n)
				if err := s.Err(); err != nil {
					t.Fatal(err)
				}
				got := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{sample},
					vm.Feeds{m: networktest.Dense(moments), n: networktest.Dense(noise)})[0]
				want := golden.NHWC(f.Float32(t, name+"/sample"))
				mean, _, std := vae.Moments(moments.Data, noise.Shape[3])
				closely(t, got.Data, want.Data, func(i int) float64 {
					return math.Abs(float64(mean[i])) + math.Abs(float64(std[i])*float64(noise.Data[i]))
				})
			})
		}
	})
}

// The divergence is computed here from the golden means, variances and its definition; its gradient is mean/N and
// (variance − 1)/2N where the logarithm is not clamped.
func TestDivergence(t *testing.T) {
	f := golden.Open(t, "vae.safetensors")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		for _, name := range posteriors(f) {
			t.Run(name, func(t *testing.T) {
				moments := golden.NHWC(f.Float32(t, name+"/moments"))
				mean, logvar := golden.NHWC(f.Float32(t, name+"/mean")), golden.NHWC(f.Float32(t, name+"/logvar"))
				images, channels := moments.Shape[0], mean.Shape[3]
				s := op.NewScope("vae")
				m := s.Input("moments", moments.Shape...)
				kl := op.KLDivergence{}.Apply(s, m)
				if err := s.Err(); err != nil {
					t.Fatal(err)
				}
				grads, err := graph.Gradients(kl, m)
				if err != nil {
					t.Fatal(err)
				}
				got := networktest.Compute(t, vm.Options{Device: d}, append(gorgonia.Nodes{kl}, grads...),
					vm.Feeds{m: networktest.Dense(moments)})
				want := 0.0
				for i := range mean.Data {
					a, v := float64(mean.Data[i]), float64(logvar.Data[i])
					want += (a*a + math.Exp(v) - 1 - v) / 2 / float64(images)
					at := i/channels*2*channels + i%channels
					inside := 0.0
					if moments.Data[at+channels] == logvar.Data[i] {
						inside = 1
					}
					pair := []float32{got[1].Data[at], got[1].Data[at+channels]}
					closely(t, pair, []float32{
						float32(a / float64(images)),
						float32(inside * (math.Exp(v) - 1) / 2 / float64(images)),
					},
						func(j int) float64 { return []float64{math.Abs(a), inside * (1 + math.Exp(v))}[j] })
				}
				closely(t, got[0].Data, []float32{float32(want)}, func(int) float64 { return want })
			})
		}
	})
}
