//go:build gpu

package cuda_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// values are a request's operands in a device's memory.
type values struct {
	t         *testing.T
	d         *cuda.Device
	r         device.Request
	in        []device.Pointer
	out       device.Pointer
	workspace device.Pointer
}

// operands gives a request memory; shift is the number of elements that inputs begin after an aligned address.
func operands(
	t *testing.T, d *cuda.Device, spec op.Spec, precision device.DType, constant bool, shift int64, shapes ...tensor.Shape,
) *values {
	t.Helper()
	v := &values{t: t, d: d, r: device.Request{Spec: spec}}
	kinds, out := spec.Kinds(len(shapes))
	shape, err := spec.Infer(shapes)
	if err != nil {
		t.Fatal(err)
	}
	stored := func(k op.Kind) device.DType {
		if k == op.Exact {
			return device.Float32
		}
		return precision
	}
	for i, s := range shapes {
		o := device.Operand{Shape: s, DType: stored(kinds[i])}
		p := unsafe.Add(v.memory(o.Bytes()+64), shift*o.DType.Size())
		if constant && kinds[i] == op.Exact {
			o.Const, o.Identity = p, p
		}
		v.r.In, v.in = append(v.r.In, o), append(v.in, p)
	}
	v.r.Out = device.Operand{Shape: shape, DType: stored(out)}
	v.out = v.memory(v.r.Out.Bytes())
	return v
}

func (v *values) memory(bytes int64) device.Pointer {
	v.t.Helper()
	m, err := v.d.Alloc(bytes)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() {
		if err := v.d.Free(m); err != nil {
			v.t.Error(err)
		}
	})
	return m.Ptr
}

func (v *values) compile() device.Kernel {
	v.t.Helper()
	k, err := v.d.Compile(v.r)
	if err != nil {
		v.t.Fatal(err)
	}
	if n := k.Workspace(); n > 0 {
		v.workspace = v.memory(n)
	}
	return k
}

// launched is what a run of the kernel launches.
func (v *values) launched(k device.Kernel) []string {
	v.t.Helper()
	before := len(calls(v.t))
	if err := errors.Join(k.Run(v.out, v.in, v.workspace), v.d.Synchronize()); err != nil {
		v.t.Fatal(err)
	}
	var names []string
	for _, c := range calls(v.t)[before:] {
		if f := strings.Fields(c); f[0] == "launch" {
			names = append(names, f[1])
		}
	}
	return names
}

// TestProducts shows what is computed by cuBLASLt and what is launched around it. Whether the numbers are right is
// for devicetest.
func TestProducts(t *testing.T) {
	if *driver == "" {
		t.Skip("NVIDIA's driver keeps no log")
	}
	const lt, finish, round, own = "cublasLtMatmul", "product_finish", "product_round", "gemm"
	x, w, bias, y := tensor.Shape{2, 24, 32}, tensor.Shape{16, 32}, tensor.Shape{16}, tensor.Shape{2, 24, 16}
	image, kernel, seen := tensor.Shape{2, 4, 6, 32}, tensor.Shape{1, 1, 32, 16}, tensor.Shape{2, 4, 6, 16}
	point := op.Geometry{KH: 1, KW: 1, Stride: 1}
	f32, bf16 := device.Float32, device.BFloat16
	for _, c := range []struct {
		name      string
		spec      op.Spec
		precision device.DType
		constant  bool
		shift     int64
		shapes    []tensor.Shape
		want      []string
		algorithm string
		unread    []int
	}{
		{"linear", op.Linear{}, f32, true, 0, []tensor.Shape{x, w}, []string{lt}, "cuBLASLt", nil},
		{"bias", op.Linear{Bias: true}, f32, true, 0, []tensor.Shape{x, w, bias}, []string{lt}, "cuBLASLt", nil},
		{
			"bias, residual",
			op.Linear{Bias: true, Residual: true},
			f32, false, 0,
			[]tensor.Shape{x, w, bias, y},
			[]string{lt},
			"cuBLASLt", nil,
		},
		{
			"activation",
			op.Linear{Bias: true, Act: op.GELU},
			f32, false, 0,
			[]tensor.Shape{x, w, bias},
			[]string{lt, finish},
			"cuBLASLt", nil,
		},
		{
			"shifted",
			op.Linear{Bias: true, Act: op.GELU},
			f32, false, 1,
			[]tensor.Shape{x, w, bias},
			[]string{own},
			"cuBLASLt", nil,
		},
		{"bf16", op.Linear{Bias: true}, bf16, true, 0, []tensor.Shape{x, w, bias}, []string{lt}, "cuBLASLt", []int{1}},
		{
			"bf16, shifted",
			op.Linear{Bias: true},
			bf16, true, 1,
			[]tensor.Shape{x, w, bias},
			[]string{own},
			"cuBLASLt",
			[]int{1},
		},
		{
			"bf16, varying",
			op.Linear{Bias: true},
			bf16, false, 0,
			[]tensor.Shape{x, w, bias},
			[]string{round, round, lt},
			"cuBLASLt", nil,
		},
		{
			"bf16, activation",
			op.Linear{Bias: true, Act: op.SiLU},
			bf16, true, 0,
			[]tensor.Shape{x, w, bias},
			[]string{lt, finish},
			"cuBLASLt",
			[]int{1},
		},
		{
			"bf16, residual stream",
			op.Linear{Bias: true, Residual: true, Store: op.Exact},
			bf16, true, 0,
			[]tensor.Shape{x, w, bias, y},
			[]string{lt},
			"cuBLASLt",
			[]int{1},
		},
		{
			"bf16, exact residual",
			op.Linear{Residual: true},
			bf16, true, 0,
			[]tensor.Shape{x, w, y},
			[]string{lt, finish},
			"cuBLASLt",
			[]int{1},
		},
		{"data gradient", op.LinearDataGrad{}, bf16, false, 0, []tensor.Shape{y, w}, []string{round, lt}, "cuBLASLt", nil},
		{"weight gradient", op.LinearWeightGrad{}, bf16, false, 0, []tensor.Shape{x, y}, []string{lt}, "cuBLASLt", nil},
		{
			"1×1",
			op.Conv2D{Geometry: point, Bias: true},
			bf16, true, 0,
			[]tensor.Shape{image, kernel, bias},
			[]string{lt},
			"cuBLASLt",
			[]int{1},
		},
		{
			"1×1, data gradient",
			op.ConvDataGrad{Geometry: point, H: 4, W: 6},
			bf16, false, 0,
			[]tensor.Shape{seen, kernel},
			[]string{round, lt},
			"cuBLASLt", nil,
		},
		{
			"1×1, weight gradient",
			op.ConvWeightGrad{Geometry: point},
			bf16, false, 0,
			[]tensor.Shape{image, seen},
			[]string{lt},
			"cuBLASLt", nil,
		},
		{"odd", op.Linear{}, f32, false, 0, []tensor.Shape{{5, 7}, {3, 7}}, []string{lt}, "cuBLASLt", nil},
		{"one", op.Linear{}, f32, false, 0, []tensor.Shape{{1, 1}, {1, 1}}, []string{lt}, "cuBLASLt", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, cuda.Limits{})
			v := operands(t, d, c.spec, c.precision, c.constant, c.shift, c.shapes...)
			k := v.compile()
			defer func() {
				if err := k.Close(); err != nil {
					t.Error(err)
				}
			}()
			if diff := cmp.Diff(c.want, v.launched(k)); diff != "" {
				t.Errorf("launches (-want +got):\n%s", diff)
			}
			if k.Algorithm() != c.algorithm {
				t.Errorf("algorithm %q, want %q", k.Algorithm(), c.algorithm)
			}
			if got := k.(device.Unreader).Unread(); !slices.Equal(got, c.unread) {
				t.Errorf("unread %v, want %v", got, c.unread)
			}
		})
	}
}

// TestCopiesAreShared has three kernels with one weight, two of which have a copy of it.
func TestCopiesAreShared(t *testing.T) {
	d := open(t, cuda.Limits{})
	v := operands(t, d, op.Linear{}, device.BFloat16, true, 0, tensor.Shape{8, 32}, tensor.Shape{16, 32})
	allocated := func(want int64, when string) {
		t.Helper()
		if got := d.Allocated(); got != want {
			t.Errorf("%s: %d bytes, want %d", when, got, want)
		}
	}
	compile := func(low bool) device.Kernel {
		t.Helper()
		v.r.LowMemory = low
		k, err := d.Compile(v.r)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	before, bytes := d.Allocated(), int64(16*32*2)
	first := compile(false)
	allocated(before+bytes, "one kernel")
	second := compile(false)
	allocated(before+bytes, "two kernels")
	low := compile(true)
	allocated(before+bytes, "and one in little memory")
	if u := low.(device.Unreader).Unread(); len(u) > 0 {
		t.Errorf("in little memory %v are unread, want none", u)
	}
	if err := errors.Join(first.Close(), low.Close()); err != nil {
		t.Fatal(err)
	}
	allocated(before+bytes, "one is left")
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	allocated(before, "all closed")
}

// TestCopiesAreOfTheirWeights puts a weight where another one lay, whose copy is still in use.
func TestCopiesAreOfTheirWeights(t *testing.T) {
	d := open(t, cuda.Limits{})
	v := operands(t, d, op.Linear{Store: op.Exact}, device.BFloat16, true, 0, tensor.Shape{8, 32}, tensor.Shape{16, 32})
	upload := func(to device.Pointer, raw []byte) {
		t.Helper()
		if err := d.Upload(to, raw); err != nil {
			t.Fatal(err)
		}
	}
	var ones []byte
	for range 8 * 32 {
		ones = binary.NativeEndian.AppendUint16(ones, device.ToBFloat16(1))
	}
	upload(v.in[0], ones)
	weights := [][]float32{slices.Repeat([]float32{1}, 16*32), slices.Repeat([]float32{2}, 16*32)}
	var kernels []device.Kernel
	for _, w := range weights {
		upload(v.in[1], device.Slice[byte](unsafe.Pointer(&w[0]), 4*len(w)))
		v.r.In[1].Identity = unsafe.Pointer(&w[0])
		kernels = append(kernels, v.compile())
	}
	for i, want := range []float32{32, 64} {
		got := make([]float32, 8*16)
		if err := errors.Join(kernels[i].Run(v.out, v.in, v.workspace), d.Download(device.Bytes(got), v.out)); err != nil {
			t.Fatal(err)
		}
		if got[0] != want {
			t.Errorf("kernel %d: %g, want %g", i, got[0], want)
		}
		if err := kernels[i].Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWeightsAreHeldOnce compiles linear layers whose weights, used by two layers each, are there in bfloat16 alone.
func TestWeightsAreHeldOnce(t *testing.T) {
	s := op.NewScope("layers")
	const width, layers = 64, 3
	x := s.Input("x", 8, width)
	y := x
	for i := range layers {
		w := s.Param(fmt.Sprintf("w%d", i), width, width)
		if err := gorgonia.Let(w, filled(w.Shape(), uint64(i), 0, 0.3)); err != nil {
			t.Fatal(err)
		}
		y = op.Linear{}.Apply(s, op.Linear{}.Apply(s, y, w, nil, nil), w, nil, nil)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	p, err := vm.Compile(gorgonia.Nodes{y}, vm.Options{Device: open(t, cuda.Limits{}), Precision: vm.BFloat16})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	report := p.Report()
	if m := report.Memory; m.Packed != layers*width*width*2 || m.Copies != 0 {
		t.Errorf("kernels hold %d bytes of weights, with %d bytes of copies, want %d and 0",
			m.Packed, m.Copies, layers*width*width*2)
	}
	if _, err := p.Run(t.Context(), vm.Feeds{x: filled(x.Shape(), 100, 0, 2)}); err != nil {
		t.Fatal(err)
	}
	for _, step := range report.Steps {
		if step.Op == "Linear" && step.Algorithm != "cuBLASLt" {
			t.Errorf("%s is computed by %q, want cuBLASLt", step.Place, step.Algorithm)
		}
	}
}
