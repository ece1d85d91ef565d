//go:build gpu

package cuda_test

import (
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
	"github.com/histdist/histdist/graph/op"
)

// TestConvolutionsOfCuDNN tells by the fake library's engines (internal/fakegpu/cudnn.cc) which way a convolution
// takes: 8 uses tensor cores, 9 and 10 don't, and all others must not be taken. What they compute is devicetest's to
// check.
func TestConvolutionsOfCuDNN(t *testing.T) {
	if *driver == "" {
		t.Skip("the numbers of the engines are the fake library's")
	}
	d := open(t, cuda.Limits{})
	square := op.Geometry{KH: 3, KW: 3, Stride: 1, Pad: op.Pad(1)}
	one := op.Geometry{KH: 1, KW: 1, Stride: 1}
	const f32, bf16 = device.Float32, device.BFloat16
	image := func(c int, t device.DType) device.Operand {
		return device.Operand{Shape: tensor.Shape{2, 64, 64, c}, DType: t}
	}
	conv := func(c int, from, to, features device.DType, s op.Conv2D) device.Request {
		r := device.Request{Spec: s, Features: features, Out: image(16, to)}
		r.In = []device.Operand{image(c, from), {Shape: tensor.Shape{s.KH, s.KW, c, 16}}}
		if s.Bias {
			r.In = append(r.In, device.Operand{Shape: tensor.Shape{16}})
		}
		if s.Residual {
			r.In = append(r.In, image(16, f32))
		}
		return r
	}
	for name, c := range map[string]struct {
		request device.Request
		want    string
	}{
		"bfloat16":            {conv(16, bf16, bf16, bf16, op.Conv2D{Geometry: square}), "cuDNN engine 8"},
		"bfloat16 to float32": {conv(16, bf16, f32, bf16, op.Conv2D{Geometry: square}), "cuDNN engine 8"},
		"all in one": {
			conv(16, bf16, f32, bf16, op.Conv2D{Geometry: square, Bias: true, Residual: true}), "cuDNN engine 8",
		},
		"swish": {
			conv(16, bf16, bf16, bf16, op.Conv2D{Geometry: square, Bias: true, Act: op.SiLU}), "cuDNN engine 8",
		},
		"an own activation": {
			conv(16, bf16, bf16, bf16, op.Conv2D{Geometry: square, Bias: true, Act: op.QuickGELU}),
			"cuDNN engine 8, own finish",
		},
		"another one": {
			conv(16, bf16, bf16, bf16, op.Conv2D{Geometry: square, Bias: true, Act: op.ReLU}),
			"cuDNN engine 8, own finish",
		},
		"nothing is fused": {
			conv(5, bf16, f32, bf16, op.Conv2D{Geometry: square, Bias: true}), "cuDNN engine 8, own finish",
		},
		"no engine": {
			conv(7, bf16, f32, bf16, op.Conv2D{Geometry: square, Bias: true}),
			"own (cuDNN: no engine is offered that is exact enough)",
		},
		"float32": {conv(16, f32, f32, f32, op.Conv2D{Geometry: square, Bias: true}), "cuDNN engine 10"},
		"exact in bfloat16": {
			conv(16, f32, f32, bf16, op.Conv2D{Geometry: square, Bias: true, From: op.Exact}), "patches, cuBLASLt",
		},
		"exact and resized": {
			conv(16, f32, f32, bf16, op.Conv2D{Geometry: square, Bias: true, From: op.Exact, ResizeH: 64, ResizeW: 64}),
			"cuDNN engine 8",
		},
		"a product":            {conv(16, bf16, f32, bf16, op.Conv2D{Geometry: one, Bias: true}), "cuBLASLt"},
		"a product of float32": {conv(16, f32, f32, f32, op.Conv2D{Geometry: one, Bias: true}), "cuBLASLt"},
		"an exact product":     {conv(16, f32, f32, bf16, op.Conv2D{Geometry: one, Bias: true, From: op.Exact}), "cuBLASLt"},
		"gradient of the image": {device.Request{
			Spec: op.ConvDataGrad{Geometry: square, H: 64, W: 64}, Features: bf16,
			In: []device.Operand{image(16, bf16), {Shape: tensor.Shape{3, 3, 16, 16}}}, Out: image(16, bf16),
		}, "cuDNN engine 8"},
		"gradient of the weight": {device.Request{
			Spec: op.ConvWeightGrad{Geometry: square}, Features: bf16,
			In: []device.Operand{image(16, bf16), image(16, bf16)}, Out: device.Operand{Shape: tensor.Shape{3, 3, 16, 16}},
		}, "patches, cuBLASLt"},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := d.Compile(c.request)
			if err != nil {
				t.Fatal(err)
			}
			if got := k.Algorithm(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestConstantWeightOfConvolution shares one copy of a weight between kernels, which then don't read it.
func TestConstantWeightOfConvolution(t *testing.T) {
	d := open(t, cuda.Limits{})
	const c, o = 24, 16
	weight, err := d.Alloc(9 * c * o * 4)
	if err != nil {
		t.Fatal(err)
	}
	before := d.Allocated()
	compile := func(h int) device.Kernel {
		t.Helper()
		k, err := d.Compile(device.Request{
			Spec: op.Conv2D{Geometry: op.Geometry{KH: 3, KW: 3, Stride: 1, Pad: op.Pad(1)}}, Features: device.BFloat16,
			In: []device.Operand{
				{Shape: tensor.Shape{1, h, 1024, c}, DType: device.BFloat16},
				{Shape: tensor.Shape{3, 3, c, o}, Const: weight.Ptr, Identity: weight.Ptr},
			},
			Out: device.Operand{Shape: tensor.Shape{1, h, 1024, o}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	kernels := []device.Kernel{compile(8), compile(12)}
	if !strings.HasPrefix(kernels[0].Algorithm(), "cuDNN") {
		t.Skipf("no cuDNN: %s", kernels[0].Algorithm())
	}
	if got := d.Allocated() - before; got != 9*c*o*2 {
		t.Errorf("two kernels hold %d bytes, want one copy in bfloat16: %d", got, 9*c*o*2)
	}
	for _, k := range kernels {
		if u, ok := k.(device.Unreader); !ok || len(u.Unread()) != 1 || u.Unread()[0] != 1 {
			t.Errorf("the weight is read: %T", k)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := d.Allocated(); got != before {
		t.Errorf("%d bytes are left", got-before)
	}
	if err := d.Free(weight); err != nil {
		t.Error(err)
	}
}
