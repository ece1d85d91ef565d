package clip_test

import (
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

func newNetwork(t *testing.T, ids golden.Tensor[int64]) *clip.Network {
	c, err := clip.ReadConfig(golden.Path(t, "tiny/text_encoder/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := clip.Build(c, ids.Shape[0], ids.Shape[1])
	if err != nil {
		t.Fatal(err)
	}
	networktest.Bind(t, n.Scope.Params(), "tiny/text_encoder", weights.Mapping{Ignore: clip.Ignore})
	return n
}

func TestHiddenStatesEqualTransformers(t *testing.T) {
	f := golden.Open(t, "text.safetensors")
	ids := f.Int64(t, "ids")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		n := newNetwork(t, ids)
		outputs, names := gorgonia.Nodes{n.LastHiddenState}, []string{"last_hidden_state"}
		for _, name := range f.Names() {
			if tap, ok := strings.CutPrefix(name, "tap/"); ok {
				outputs, names = append(outputs, n.Scope.Marked(tap)), append(names, name)
			}
		}
		got := networktest.Compute(t, vm.Options{Device: d}, outputs, vm.Feeds{n.IDs: networktest.IDs(ids)})
		for i, name := range names {
			t.Run(name, func(t *testing.T) {
				golden.Within(t, got[i].Data, f.Float32(t, name).Data, f.Tolerance(t, strings.TrimPrefix(name, "tap/")))
			})
		}
	})
}

func TestBFloat16(t *testing.T) {
	f := golden.Open(t, "text.safetensors")
	ids := f.Int64(t, "ids")
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		if !d.Has(device.BFloat16) {
			t.Skip("the device has no bfloat16")
		}
		n := newNetwork(t, ids)
		networktest.BFloat16(t, d, n.Scope.Params(), n.LastHiddenState, vm.Feeds{n.IDs: networktest.IDs(ids)},
			f.Float32(t, "last_hidden_state").Data)
	})
}

func TestIDsOutsideTheVocabulary(t *testing.T) {
	f := golden.Open(t, "text.safetensors")
	ids := f.Int64(t, "ids")
	ids.Data[0] = 1 << 30
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		n := newNetwork(t, ids)
		p, err := vm.Compile(gorgonia.Nodes{n.LastHiddenState}, vm.Options{Device: d})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := p.Run(t.Context(), vm.Feeds{n.IDs: networktest.IDs(ids)}); err == nil {
			t.Error("an id outside the vocabulary is no error")
		}
	})
}
