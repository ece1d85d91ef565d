package train_test

import (
	"math"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// TestTextureEqualsPyTorch: the distance and its gradient are those of texture.py, by autograd.
func TestTextureEqualsPyTorch(t *testing.T) {
	file := golden.Open(t, "texture.safetensors")
	var tolerances map[string]float64
	file.MetadataJSON(t, "tolerances", &tolerances)
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		for _, name := range []string{"texture", "texture_small"} {
			made, truth := golden.NHWC(file.Float32(t, name+"/made")), golden.NHWC(file.Float32(t, name+"/true"))
			distance, gradient, err := train.TextureDistance(t.Context(), vm.Options{Device: d}, [4]int(made.Shape), made.Data,
				truth.Data)
			if err != nil {
				t.Fatal(err)
			}
			for part, x := range map[string]struct{ got, want []float32 }{
				"/distance": {distance, file.Float32(t, name+"/distance").Data},
				"/gradient": {gradient, golden.NHWC(file.Float32(t, name+"/gradient")).Data},
			} {
				off := 0.0
				for i := range x.want {
					off = max(off, math.Abs(float64(x.got[i]-x.want[i])))
				}
				if len(x.got) != len(x.want) || !(off <= tolerances[name+part]) {
					t.Errorf("%s%s: off by %g, want at most %g", name, part, off, tolerances[name+part])
				}
			}
		}
	})
}

// TestTextureDoesNotRewardBlur: blurred noise is farther from noise in texture than other noise is, though nearer in
// squared error.
func TestTextureDoesNotRewardBlur(t *testing.T) {
	const side = 64
	d := networktest.Open(t, networktest.Names()[0])
	noise := func(seed uint64) []float32 {
		x := make([]float32, side*side*3)
		state := seed
		for i := range x {
			state = state*6364136223846793005 + 1442695040888963407
			x[i] = 0.4*float32(state>>40)/(1<<24) - 0.2
		}
		return x
	}
	truth, other := noise(1), noise(2)
	blurred := make([]float32, len(truth))
	for y := range side {
		for x := range side {
			for c := range 3 {
				for _, dy := range []int{-1, 0, 1} {
					for _, dx := range []int{-1, 0, 1} {
						at := ((y+dy+side)%side*side+(x+dx+side)%side)*3 + c
						blurred[(y*side+x)*3+c] += truth[at] / 9
					}
				}
			}
		}
	}
	distance := func(made []float32) (texture, squares float64) {
		got, _, err := train.TextureDistance(t.Context(), vm.Options{Device: d}, [4]int{1, side, side, 3}, made, truth)
		if err != nil {
			t.Fatal(err)
		}
		for i := range made {
			squares += math.Pow(float64(made[i]-truth[i]), 2) / float64(len(made))
		}
		return float64(got[0]), squares
	}
	sharp, far := distance(other)
	soft, near := distance(blurred)
	if !(near < far && soft > 5*sharp) {
		t.Errorf("texture %g of noise and %g blurred, squared errors %g and %g", sharp, soft, far, near)
	}
}
