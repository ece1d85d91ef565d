package resnet_test

import (
	"fmt"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/resnet"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// TestMeansEqualTorchvision compares the channel means of all four stages with torchvision's ResNet-50.
func TestMeansEqualTorchvision(t *testing.T) {
	f := networktest.OpenFormula(t, "metrics_nets")
	images := f.Uint8(t, "images")
	x := golden.Tensor[float32]{Shape: images.Shape, Data: resnet.PreprocessPHV(images.Data)}
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		n, err := resnet.Build(x.Shape[0], x.Shape[1], x.Shape[2])
		if err != nil {
			t.Fatal(err)
		}
		f.Bind(t, "resnet50", n.Scope, resnet.Mapping().Ignore)
		if err := n.Folds.Fold(); err != nil {
			t.Fatal(err)
		}
		got := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{n.Means},
			vm.Feeds{n.Pixels: networktest.Dense(x)})[0]
		at := 0
		for i, channels := range resnet.Channels() {
			var layer []float32
			for image := range x.Shape[0] {
				layer = append(layer, got.Data[image*got.Shape[1]+at:][:channels]...)
			}
			f.Compare(t, "resnet50", fmt.Sprintf("layer_%d_channel_means", i+1), layer)
			at += channels
		}
		if at != got.Shape[1] {
			t.Errorf("%d features, want %d", got.Shape[1], at)
		}
	})
}

// TestPreprocessEqualsOfficial wants every bit of the official evaluation's input.
func TestPreprocessEqualsOfficial(t *testing.T) {
	f := golden.Open(t, "metrics.safetensors")
	got := resnet.PreprocessPHV(f.Uint8(t, "pictures/he_er/fake").Data)
	want := golden.NHWC(f.Float32(t, "phv/input/he_er_fake")).Data
	golden.Within(t, got, want, golden.Tolerance{})
}
