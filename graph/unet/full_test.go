package unet_test

import (
	"os"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/networktest"
)

// TestFullSizeUNet runs the U-Net at its full width, on 16×16 latents, on every device: all of them, with rearranged
// weights and without, compute what ref does.
func TestFullSizeUNet(t *testing.T) {
	if os.Getenv("HISTDIST_FULL") == "" {
		t.Skip("takes 8 GB of memory and a minute: run make test-full")
	}
	// Float32 rounding, of Winograd F(4×4) in the 3×3 convolutions, through some 250 layers that each keep the scale.
	const tolerance = 5e-5
	n, err := unet.Build(unet.SD15(), unet.Size{Batch: 1, Height: 16, Width: 16, Tokens: 197})
	if err != nil {
		t.Fatal(err)
	}
	// Features neither vanish nor grow: norms neither scale nor shift.
	memory, err := formula.Weights{Gain: 1}.Bind(n.Scope.Params())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, p := range n.Scope.Params() {
		if x := p.Value().Data().([]float32); p.Dims() == 1 {
			clear(x)
			for i := range x {
				if strings.HasSuffix(p.Name(), "weight") {
					x[i] = 1
				}
			}
		}
	}
	feeds := vm.Feeds{}
	for _, in := range (gorgonia.Nodes{n.Sample, n.Timesteps, n.Context}) {
		x := formula.Tensor(0, in.Name(), op.Size(in.Shape()), 1, 0)
		feeds[in] = tensor.New(tensor.WithShape(in.Shape()...), tensor.WithBacking(x))
	}
	names := catalog.Names()
	var want []float32
	for i := len(names) - 1; i >= 0; i-- { // ref is the last name
		d := networktest.Open(t, names[i])
		for _, low := range []bool{false, true} {
			o := vm.Options{Device: d, LowMemory: low}
			got := networktest.Compute(t, o, gorgonia.Nodes{n.Output}, feeds)[0].Data
			if want == nil {
				want = got
			}
			relative := networktest.Relative(t, got, want)
			t.Logf("%s, low memory %v: relative difference from ref %.2g", names[i], low, relative)
			if !(relative <= tolerance) {
				t.Errorf("%s, low memory %v: want a difference of at most %.2g", names[i], low, tolerance)
			}
		}
	}
}
