// Package networktest runs networks in tests and compares them with reference data: in bfloat16 (bfloat16.go), with
// weights by formula (formula.go), or damaged (plant.go).
package networktest

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/walled"
)

// EachDevice runs a subtest on each of Names.
func EachDevice(t *testing.T, test func(t *testing.T, d device.Device)) {
	t.Helper()
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) { test(t, Open(t, name)) })
	}
}

// Names are the processor devices of the build, or those that the environment names: HISTDIST_TEST_DEVICES=cuda:0.
func Names() []string {
	if list := os.Getenv("HISTDIST_TEST_DEVICES"); list != "" {
		return strings.Split(list, ",")
	}
	return catalog.Names()
}

// wallPrefix begins the name of a processor device whose memory the process can't reach: see package walled.
const wallPrefix = "walled:"

// Walled is the fastest processor device with its memory walled off.
func Walled() string { return wallPrefix + catalog.Names()[0] }

// New returns a device by its name: one of package catalog, or one with its memory walled off, such as "walled:cpu".
func New(name string) (device.Device, error) {
	inside, wall := strings.CutPrefix(name, wallPrefix)
	d, err := catalog.Open(inside, 0)
	if err != nil || !wall {
		return d, err
	}
	return walled.New(d)
}

// Fastest is the first device that HISTDIST_TEST_DEVICES names, else the fastest of the build on a number of threads; 0
// is all.
func Fastest(threads int) (device.Device, error) {
	if os.Getenv("HISTDIST_TEST_DEVICES") != "" {
		return New(Names()[0])
	}
	return catalog.Open("auto", threads)
}

// Open returns a device that is closed when the test ends: see New.
func Open(t testing.TB, name string) device.Device {
	t.Helper()
	d, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Bind gives parameters the weights of a golden file or folder until the test ends.
func Bind(t testing.TB, params gorgonia.Nodes, path string, m weights.Mapping) {
	t.Helper()
	s, err := weights.Open(golden.Path(t, path), weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Bind(params, m); err != nil {
		t.Fatal(err)
	}
}

// Compute compiles and runs a graph once and returns copies of the outputs.
func Compute(t testing.TB, o vm.Options, outputs gorgonia.Nodes, feeds vm.Feeds) []golden.Tensor[float32] {
	t.Helper()
	p, err := vm.Compile(outputs, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	values, err := p.Run(t.Context(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	results := make([]golden.Tensor[float32], len(values))
	for i, v := range values {
		results[i] = golden.Tensor[float32]{Shape: v.Shape().Clone(), Data: slices.Clone(v.Float32s())}
	}
	return results
}

// Dense makes a value to feed.
func Dense(x golden.Tensor[float32]) *tensor.Dense {
	shape := x.Shape
	if len(shape) == 0 {
		shape = []int{1}
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x.Data))
}

// Numbers makes a value to feed of whole numbers, such as timesteps.
func Numbers(x golden.Tensor[int64]) *tensor.Dense {
	f := make([]float32, len(x.Data))
	for i, v := range x.Data {
		f[i] = float32(v)
	}
	return tensor.New(tensor.WithShape(x.Shape...), tensor.WithBacking(f))
}

// IDs makes a value to feed of indices.
func IDs(x golden.Tensor[int64]) *tensor.Dense {
	ids := make([]int32, len(x.Data))
	for i, v := range x.Data {
		ids[i] = int32(v)
	}
	return tensor.New(tensor.WithShape(x.Shape...), tensor.WithBacking(ids))
}

// Relative is the Frobenius norm of got − want over that of want.
func Relative(t testing.TB, got, want []float32) float64 {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d elements, want %d", len(got), len(want))
	}
	var off, size float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		off += d * d
		size += float64(w) * float64(w)
	}
	return math.Sqrt(off / size)
}
