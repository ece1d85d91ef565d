// Package formula makes weights by a formula, so that networks of full size can be tested and timed without their
// files: the values depend on a tensor's name, its shape and a seed alone, and are the same in every program that knows
// the formula.
//
// Element i of a tensor in the file's layout is, in integers modulo 2⁶⁴ and with SplitMix64's function mix,
//
//	key   = mix(fnv1a64(name) XOR seed)
//	f     = (mix(key + (i+1)·0x9E3779B97F4A7C15) >> 40) / 2²³ − 1, in [−1, 1)
//	value = c + a·f, in float32, each operation rounded
//
// where c and a follow from the name and the shape, see Weights. It is a test's and a benchmark's tool and no
// initialisation for training.
package formula

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/internal/hostmem"
	"github.com/histdist/histdist/internal/parallel"
)

// Weights are all the parameters that a network can have. By the first rule that fits,
//
//	…running_var                            c = 1, a = 0.25
//	…running_mean                           c = 0, a = 0.1
//	one dimension, name ends in ".weight"   c = 1, a = 0.1     (normalisations)
//	other tensors of one dimension          c = 0, a = 0.05    (biases)
//	two or more dimensions                  c = 0, a = Gain·√(3 / product of shape[1:])
type Weights struct {
	Seed uint64
	Gain float64
}

// Values returns the values of a parameter row by row; shape is the file's, [O,I,KH,KW] or [out,in].
func (w Weights) Values(name string, shape ...int) []float32 {
	a, c := w.rule(name, shape)
	return Tensor(w.Seed, name, size(shape), a, c)
}

// Tensor returns n values in [c−a, c+a) for any name, such as an input's.
func Tensor(seed uint64, name string, n int, a, c float32) []float32 {
	out := make([]float32, n)
	k := key(name, seed)
	parallel.Ranges(n, grain, func(from, to int) { fill(out[from:to], k+uint64(from+1)*golden, golden, a, c) })
	return out
}

// Memory holds the values of bound parameters, outside Go's heap.
type Memory struct {
	allocator hostmem.Allocator
	parts     []device.Memory
}

// Bind gives every parameter its values by gorgonia.Let. Close the memory when no program uses them any more.
func (w Weights) Bind(params gorgonia.Nodes) (*Memory, error) {
	m := &Memory{}
	var jobs []func()
	for _, n := range params {
		values, err := m.alloc(n.Shape())
		if err == nil {
			err = gorgonia.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(values)))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("weights by formula: %s: %w", n.Name(), err), m.Close())
		}
		jobs = append(jobs, w.fill(values, n.Name(), n.Shape())...)
	}
	parallel.For(len(jobs), func(i int) { jobs[i]() })
	return m, nil
}

func (m *Memory) alloc(shape []int) ([]float32, error) {
	n := size(shape)
	part, err := m.allocator.Alloc(4 * int64(n))
	if err != nil {
		return nil, err
	}
	m.parts = append(m.parts, part)
	return device.Slice[float32](part.Ptr, n), nil
}

func (m *Memory) Close() error {
	var errs []error
	for _, p := range m.parts {
		errs = append(errs, m.allocator.Free(p))
	}
	m.parts = nil
	return errors.Join(errs...)
}

// grain is about how many elements a job makes.
const grain = 1 << 18

// fill returns the jobs that make a parameter in the graph's layout: four dimensions are [KH,KW,I,O] for the file's
// [O,I,KH,KW].
func (w Weights) fill(out []float32, name string, shape []int) []func() {
	k := key(name, w.Seed)
	var jobs []func()
	if len(shape) != 4 {
		a, c := w.rule(name, shape)
		for i := 0; i < len(out); i += grain {
			jobs = append(jobs, func() { fill(out[i:min(i+grain, len(out))], k+uint64(i+1)*golden, golden, a, c) })
		}
		return jobs
	}
	area, in, channels := shape[0]*shape[1], shape[2], shape[3]
	a, c := w.rule(name, []int{channels, in, shape[0], shape[1]})
	rows, step := area*in, max(1, grain/channels)
	for r := 0; r < rows; r += step {
		jobs = append(jobs, func() {
			for row := r; row < min(r+step, rows); row++ { // output channel o of it is element (o·in + i)·area + p of the file
				p, i := row/in, row%in
				fill(out[row*channels:][:channels], k+uint64(i*area+p+1)*golden, uint64(in*area)*golden, a, c)
			}
		})
	}
	return jobs
}

func (w Weights) rule(name string, shape []int) (a, c float32) {
	switch {
	case strings.HasSuffix(name, "running_var"):
		return 0.25, 1
	case strings.HasSuffix(name, "running_mean"):
		return 0.1, 0
	case len(shape) == 1 && strings.HasSuffix(name, ".weight"):
		return 0.1, 1
	case len(shape) == 1:
		return 0.05, 0
	}
	fan := 1
	if len(shape) > 0 {
		fan = size(shape[1:])
	}
	return float32(w.Gain * math.Sqrt(3/float64(fan))), 0
}

const golden = 0x9E3779B97F4A7C15

// fill makes values whose states are z, z+step, z+2·step …
func fill(out []float32, z, step uint64, a, c float32) {
	for i := range out {
		f := float32(int32(mix(z)>>40)-1<<23) * 0x1p-23 // exact
		out[i] = c + float32(a*f)                       // the conversion forbids a fused multiply-add
		z += step
	}
}

func key(name string, seed uint64) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return mix(h.Sum64() ^ seed)
}

// mix is SplitMix64's output function.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
