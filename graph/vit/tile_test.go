package vit_test

import (
	"testing"

	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/internal/golden"
)

// TestPreprocessTileEqualsTorchvision wants every bit of the reference's transforms.
func TestPreprocessTileEqualsTorchvision(t *testing.T) {
	f := golden.Open(t, "metrics_nets.safetensors")
	if !f.Has("gigapath_source_er_180x150") {
		t.Skip("the golden file is the reduced one, without prepared images")
	}
	images := f.Uint8(t, "images")
	h, w := images.Shape[1], images.Shape[2]
	odd := f.Uint8(t, "gigapath_source_er_180x150")
	for name, source := range map[string]golden.Tensor[uint8]{
		"gigapath_prepared_he_u8":         {Shape: images.Shape[1:], Data: images.Data[:h*w*3]},
		"gigapath_prepared_er_180x150_u8": odd,
	} {
		got, err := vit.PreprocessTile(source.Data, source.Shape[1], source.Shape[0])
		if err != nil {
			t.Fatal(err)
		}
		mean, std := [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
		want := f.Uint8(t, name).Data
		pixels := make([]float32, len(want))
		for i, grey := range want {
			pixels[i] = (float32(grey)/255 - mean[i%3]) / std[i%3]
		}
		equal(t, name, got, pixels)
		if name == "gigapath_prepared_he_u8" {
			rows := f.Float32(t, "gigapath_tensor_he_first8rows")
			first := golden.NHWC(golden.Tensor[float32]{Shape: append([]int{1}, rows.Shape...), Data: rows.Data}).Data
			equal(t, "gigapath_tensor_he_first8rows", got[:len(first)], first)
		}
	}
}

func TestPreprocessTileRefuses(t *testing.T) {
	for _, c := range [][3]int{{0, 0, 0}, {11, 2, 2}, {3 << 20, 1 << 20, 1 << 0}} {
		got, err := vit.PreprocessTile(make([]uint8, c[0]), c[1], c[2])
		if err == nil {
			t.Errorf("%v: %d values, want an error", c, len(got))
		}
	}
}
