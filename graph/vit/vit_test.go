package vit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

func newNetwork(t *testing.T) *vit.Network {
	c, err := vit.ReadConfig(golden.Path(t, "tiny-phikon/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := vit.Build(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	networktest.Bind(t, n.Scope.Params(), "tiny-phikon", weights.Mapping{Rename: vit.Rename, Ignore: vit.Ignore})
	return n
}

// pixels preprocesses an image of the golden file with the folder's preprocessor_config.json.
func pixels(t *testing.T, f *golden.File, image string) golden.Tensor[float32] {
	p, err := vit.ReadPreprocessor(golden.Path(t, "tiny-phikon/preprocessor_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	rgb := f.Uint8(t, image+"/image")
	x, err := p.Preprocess(rgb.Data, rgb.Shape[1], rgb.Shape[0])
	if err != nil {
		t.Fatal(err)
	}
	return golden.Tensor[float32]{Shape: []int{1, p.Height, p.Width, 3}, Data: x}
}

// images lists the numbers of the images in the golden file.
func images(t *testing.T, f *golden.File) []string {
	var sizes [][2]int
	if err := json.Unmarshal([]byte(f.Metadata(t, "sizes")), &sizes); err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(sizes))
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	return names
}

func TestHiddenStatesEqualTransformers(t *testing.T) {
	f := golden.Open(t, "vit.safetensors")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		n := newNetwork(t)
		for _, image := range images(t, f) {
			outputs, names := gorgonia.Nodes{n.LastHiddenState}, []string{"last_hidden_state"}
			for _, name := range f.Names() {
				if tap, ok := strings.CutPrefix(name, image+"/tap/"); ok {
					outputs, names = append(outputs, n.Scope.Marked(tap)), append(names, "tap/"+tap)
				}
			}
			got := networktest.Compute(t, vm.Options{Device: d}, outputs,
				vm.Feeds{n.Pixels: networktest.Dense(pixels(t, f, image))})
			for i, name := range names {
				t.Run(image+"/"+name, func(t *testing.T) {
					golden.Within(t, got[i].Data, f.Float32(t, image+"/"+name).Data, f.Tolerance(t, strings.TrimPrefix(name, "tap/")))
				})
			}
		}
	})
}

func TestBFloat16(t *testing.T) {
	f := golden.Open(t, "vit.safetensors")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		if !d.Has(device.BFloat16) {
			t.Skip("the device has no bfloat16")
		}
		n := newNetwork(t)
		feeds := vm.Feeds{n.Pixels: networktest.Dense(pixels(t, f, "0"))}
		networktest.BFloat16(t, d, n.Scope.Params(), n.LastHiddenState, feeds, f.Float32(t, "0/last_hidden_state").Data)
	})
}
