package train

import (
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// BenchmarkMovingAverage reports the bytes that the average reads and writes a second: 12 for a parameter.
func BenchmarkMovingAverage(b *testing.B) {
	d, err := catalog.Open("auto", 0)
	if err != nil {
		b.Fatal(err)
	}
	s := op.NewScope("network")
	weight := s.Input("weight", 1)
	var outputs gorgonia.Nodes
	for _, name := range []string{"a", "b", "c"} {
		average, p := s.Sub("average").Param(name, 4096, 4096), s.Param(name, 4096, 4096)
		for _, n := range []*gorgonia.Node{average, p} {
			v, err := device.NewValue(d, 4096, 4096)
			if err != nil {
				b.Fatal(err)
			}
			if err := gorgonia.Let(n, v); err != nil {
				b.Fatal(err)
			}
		}
		outputs = append(outputs, op.MovingAverage{}.Apply(s, average, p, weight))
	}
	if err := s.Err(); err != nil {
		b.Fatal(err)
	}
	program, err := vm.Compile(outputs, vm.Options{Device: d})
	if err != nil {
		b.Fatal(err)
	}
	feeds := vm.Feeds{}.Set(weight, []float32{0.001})
	b.SetBytes(3 * 4096 * 4096 * 12)
	for b.Loop() {
		if _, err := program.Run(b.Context(), feeds); err != nil {
			b.Fatal(err)
		}
	}
}
