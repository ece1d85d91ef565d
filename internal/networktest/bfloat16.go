package networktest

import (
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/vm"
)

// roundings is how much further a program in bfloat16 may be from the exact result than one in float32 whose weights
// alone are rounded to bfloat16: its products round their weights, what they multiply and what they give, three errors
// of the same size, of which norms add up as √3. Programs on processors were seen to be 0.3 to 1.1 times as far.
const roundings = 1.7320508

// BFloat16 runs a network in bfloat16 and reports an error if its output is too far from want: see roundings. It
// rounds the parameters in place.
func BFloat16(t testing.TB, d device.Device, params gorgonia.Nodes, out *gorgonia.Node, feeds vm.Feeds,
	want []float32,
) {
	t.Helper()
	distance := func(p vm.Precision) float64 {
		t.Helper()
		return Relative(t, Compute(t, vm.Options{Device: d, Precision: p}, gorgonia.Nodes{out}, feeds)[0].Data, want)
	}
	off := distance(vm.BFloat16)
	for _, p := range params {
		values := p.Value().Data().([]float32)
		for i, v := range values {
			values[i] = device.FromBFloat16(device.ToBFloat16(v))
		}
	}
	bound := roundings * distance(vm.Float32)
	t.Logf("relative difference %.2g where %.2g is allowed", off, bound)
	if !(off <= bound) {
		t.Errorf("relative difference %.3g, want at most %.3g", off, bound)
	}
}
