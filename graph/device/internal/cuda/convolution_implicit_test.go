//go:build gpu

package cuda_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
	"github.com/histdist/histdist/graph/device/internal/ref"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// TestConvolutionTiles has shapes for each way in which tensor cores do a convolution, for those of the conformance
// suite are small. The bound is its own for bfloat16.
func TestConvolutionTiles(t *testing.T) {
	d := open(t, cuda.Limits{Implicit: true})
	for _, c := range []struct {
		name   string
		x      tensor.Shape
		out    int
		config op.Conv2D
		want   []string
	}{
		{
			"large tiles",
			tensor.Shape{1, 82, 80, 8},
			392,
			op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}},
			[]string{"launch implicit_large 52 4 1 "},
		},
		{
			"large tiles of a resized image",
			tensor.Shape{2, 29, 33, 24},
			264,
			op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}, ResizeH: 58, ResizeW: 66},
			[]string{"launch implicit_large 60 3 1 "},
		},
		{
			"small tiles",
			tensor.Shape{3, 20, 20, 40},
			72,
			op.Conv2D{Geometry: op.Geometry{Stride: 2, Pad: op.Pad(1)}},
			[]string{"launch implicit_small 5 2 1 "},
		},
		{
			"parts",
			tensor.Shape{1, 8, 9, 248},
			72,
			op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}},
			[]string{"launch implicit_small 2 2 8 ", "launch implicit_sum "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := op.NewScope("convolution")
			param := func(name string, scale float32, shape ...int) *gorgonia.Node {
				p := s.Param(name, shape...)
				if err := gorgonia.Let(p, filled(p.Shape(), uint64(len(name)), 0, scale)); err != nil {
					t.Fatal(err)
				}
				return p
			}
			x := s.Input("x", c.x...)
			y := c.config.Apply(s, x, param("weight", 0.3, 3, 3, c.x[3], c.out), param("bias", 1, c.out), nil)
			if err := s.Err(); err != nil {
				t.Fatal(err)
			}
			run := func(d device.Device, p vm.Precision) []float32 {
				program, err := vm.Compile(gorgonia.Nodes{y}, vm.Options{Device: d, Precision: p})
				if err != nil {
					t.Fatal(err)
				}
				defer program.Close()
				values, err := program.Run(t.Context(), vm.Feeds{x: filled(c.x, 7, 0, 2)})
				if err != nil {
					t.Fatal(err)
				}
				return slices.Clone(values[0].Float32s())
			}
			before := 0
			if *driver != "" {
				before = len(calls(t))
			}
			got, want := run(d, vm.BFloat16), run(ref.New(), vm.Float32)
			if *driver != "" {
				made := strings.Join(calls(t)[before:], "\n")
				for _, w := range c.want {
					if !strings.Contains(made, w) {
						t.Errorf("no %q in\n%s", w, made)
					}
				}
			}
			var sum, off float64
			for i := range want {
				sum += float64(want[i]) * float64(want[i])
				off += math.Pow(float64(got[i])-float64(want[i]), 2)
			}
			if e := math.Sqrt(off / sum); !(e < 6e-3) {
				t.Errorf("relative error %.2g", e)
			}
		})
	}
}
