package enginebench

import (
	"math"
	"os"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/vm"
)

// TestFullSizeUNet runs the U-Net at its full width, on 16×16 latents, on every device: all of them, with rearranged weights
// and without, compute what ref does.
func TestFullSizeUNet(t *testing.T) {
	if os.Getenv("HISTDIST_FULL") == "" {
		t.Skip("takes 8 GB of memory and a minute: run make test-full")
	}
	// Float32 rounding, of Winograd F(4×4) in the 3×3 convolutions, through some 250 layers that each keep the scale.
	const tolerance = 5e-5
	names := catalog.Names()
	var values []*tensor.Dense
	var want []float32
	for i := len(names) - 1; i >= 0; i-- { // ref is the last name
		d, err := catalog.Open(names[i], 0)
		if err != nil {
			t.Fatal(err)
		}
		s, out := UNet(1, 16)
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		if values == nil {
			values = bind(t, d, s.Params())
		}
		for j, n := range s.Params() {
			if err := gorgonia.Let(n, values[j]); err != nil {
				t.Fatal(err)
			}
		}
		for _, low := range []bool{false, true} {
			got := runOnce(t, d, out, low)
			if want == nil {
				want = got
			}
			var off, size float64
			for j, w := range want {
				e := float64(got[j]) - float64(w)
				off += e * e
				size += float64(w) * float64(w)
			}
			relative := math.Sqrt(off / size)
			t.Logf("%s, low memory %v: relative difference from ref %.2g", names[i], low, relative)
			if !(relative <= tolerance) {
				t.Errorf("%s, low memory %v: relative difference from ref %.2g, want at most %.2g", names[i], low, relative, tolerance)
			}
		}
	}
}

func runOnce(t *testing.T, d device.Device, out *gorgonia.Node, lowMemory bool) []float32 {
	p, err := vm.Compile(gorgonia.Nodes{out}, vm.Options{Device: d, LowMemory: lowMemory})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	feeds := vm.Feeds{}
	for i, n := range p.Inputs() {
		feeds[n] = noise(n.Shape(), i)
	}
	got, err := p.Run(t.Context(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	return append([]float32(nil), got[0].Float32s()...)
}
