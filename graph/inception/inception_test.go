package inception_test

import (
	"errors"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/inception"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/interpolate"
	"github.com/histdist/histdist/internal/networktest"
)

// variants names the networks of the golden file.
func variants() map[string]inception.Variant {
	return map[string]inception.Variant{"fid_inception": inception.FID, "inception_v3": inception.TorchVision}
}

// TestFeaturesEqualPyTorch compares both variants with pytorch_fid's and torchvision's networks, block by block.
func TestFeaturesEqualPyTorch(t *testing.T) {
	f := networktest.OpenFormula(t, "metrics_nets")
	x := pixels(t, f.Uint8(t, "images"))
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		for name, variant := range variants() {
			t.Run(name, func(t *testing.T) {
				n, err := inception.Build(variant, x.Shape[0])
				if err != nil {
					t.Fatal(err)
				}
				f.Bind(t, name, n.Scope, inception.Mapping().Ignore)
				if err := n.Folds.Fold(); err != nil {
					t.Fatal(err)
				}
				outputs := append(gorgonia.Nodes{n.Pool3}, n.Blocks[:]...)
				got := networktest.Compute(t, vm.Options{Device: d}, outputs, vm.Feeds{n.Pixels: networktest.Dense(x)})
				f.Compare(t, name, "pool3_2048", got[0].Data)
				for i, quantity := range []string{"block0_channel_means", "block1_channel_means", "block2_channel_means"} {
					f.Compare(t, name, quantity, channelMeans(got[i+1]))
				}
			})
		}
	})
}

// pixels preprocesses images [N,H,W,3].
func pixels(t *testing.T, images golden.Tensor[uint8]) golden.Tensor[float32] {
	t.Helper()
	n, h, w := images.Shape[0], images.Shape[1], images.Shape[2]
	x := golden.Tensor[float32]{Shape: []int{n, inception.Side, inception.Side, 3}}
	for i := range n {
		one, err := inception.Preprocess(images.Data[i*h*w*3:(i+1)*h*w*3], w, h)
		if err != nil {
			t.Fatal(err)
		}
		x.Data = append(x.Data, one...)
	}
	return x
}

// channelMeans are the means over the pixels of x [N,H,W,C], [N,C].
func channelMeans(x golden.Tensor[float32]) []float32 {
	n, area, c := x.Shape[0], x.Shape[1]*x.Shape[2], x.Shape[3]
	sums, out := make([]float64, n*c), make([]float32, n*c)
	for i, v := range x.Data {
		sums[i/(area*c)*c+i%c] += float64(v)
	}
	for i, v := range sums {
		out[i] = float32(v / float64(area))
	}
	return out
}

func TestBFloat16(t *testing.T) {
	f := networktest.OpenFormula(t, "metrics_nets")
	x := pixels(t, f.Uint8(t, "images"))
	d := networktest.Open(t, "auto")
	if !d.Has(device.BFloat16) {
		t.Skip("the device has no bfloat16")
	}
	const name = "fid_inception"
	n, err := inception.Build(variants()[name], x.Shape[0])
	if err != nil {
		t.Fatal(err)
	}
	f.Bind(t, name, n.Scope, inception.Mapping().Ignore)
	if err := n.Folds.Fold(); err != nil {
		t.Fatal(err)
	}
	got := networktest.Compute(t, vm.Options{Device: d, Precision: vm.BFloat16}, gorgonia.Nodes{n.Pool3},
		vm.Feeds{n.Pixels: networktest.Dense(x)})
	if off := networktest.Relative(t, got[0].Data, f.Float32(t, name+"/pool3_2048").Data); !(off <= 2e-2) {
		t.Errorf("relative difference %.3g, want at most 2e-2", off)
	}
}

func TestPreprocessRefuses(t *testing.T) {
	if _, err := inception.Preprocess(make([]uint8, 11), 2, 2); !errors.Is(err, interpolate.ErrImage) {
		t.Errorf("too few bytes: %v", err)
	}
}
