package ref_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/devicetest"
	"github.com/histdist/histdist/graph/device/internal/ref"
	"github.com/histdist/histdist/graph/op"
)

func TestConformance(t *testing.T) {
	d := ref.New()
	devicetest.Run(t, d)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// value is an operand: its elements, as float64 whatever the type.
type value struct {
	shape tensor.Shape
	data  []float64
}

func of(data ...float64) func(shape ...int) value {
	return func(shape ...int) value { return value{shape, data} }
}

// example is a kernel computed by hand.
type example struct {
	name string
	spec op.Spec
	in   []value
	want []float64
	// updated are the inputs that the operation writes, as they are afterwards.
	updated map[int][]float64
}

// run computes in one type. inPlace is the input whose memory the output takes, -1 for memory of its own.
func run[T float32 | float64](x example, inPlace int) (out []float64, in [][]float64, err error) {
	r := device.Request{Spec: x.spec, Out: device.Operand{DType: dtype[T]()}}
	kinds, _ := x.spec.Kinds(len(x.in))
	shapes := make([]tensor.Shape, len(x.in))
	values := make([][]T, len(x.in))
	args := make([]device.Pointer, len(x.in))
	for i, v := range x.in {
		shapes[i] = v.shape
		o := device.Operand{Shape: v.shape, DType: dtype[T]()}
		if kinds[i] == op.Index {
			o.DType = device.Int32
			args[i] = device.Pointer(&convert[int32](v.data)[0])
		} else {
			values[i] = convert[T](v.data)
			args[i] = device.Pointer(&values[i][0])
		}
		r.In = append(r.In, o)
	}
	if r.Out.Shape, err = x.spec.Infer(shapes); err != nil {
		return nil, nil, err
	}
	k, err := ref.New().Compile(r)
	if err != nil {
		return nil, nil, err
	}
	result := make([]T, op.Size(r.Out.Shape))
	if inPlace >= 0 {
		result = values[inPlace]
	}
	var workspace device.Pointer
	if n := k.Workspace(); n > 0 {
		// Nothing may depend on what is in it.
		scratch := make([]float64, (n+7)/8)
		for i := range scratch {
			scratch[i] = math.NaN()
		}
		workspace = device.Pointer(&scratch[0])
	}
	if err := k.Run(device.Pointer(&result[0]), args, workspace); err != nil {
		return nil, nil, err
	}
	for _, v := range values {
		in = append(in, convert[float64](v))
	}
	return convert[float64](result), in, k.Close()
}

func dtype[T float32 | float64]() device.DType {
	if _, ok := any(T(0)).(float32); ok {
		return device.Float32
	}
	return device.Float64
}

func convert[To, From int32 | float32 | float64](x []From) []To {
	y := make([]To, len(x))
	for i, v := range x {
		y[i] = To(v)
	}
	return y
}

func TestExamples(t *testing.T) {
	e := math.E
	silu := func(x float64) float64 { return x / (1 + math.Exp(-x)) }
	// The values of erf(1/√2) and of the normal density at 1, from tables.
	const erf, density = 0.682689492137086, 0.241970724519143
	gelu1, dgelu1 := (1+erf)/2, (1+erf)/2+density

	image := of(1, 2, 3, 4, 5, 6, 7, 8, 9)(1, 3, 3, 1)
	corner := op.Geometry{KH: 2, KW: 2, Stride: 2, Pad: op.Padding{Bottom: 1, Right: 1}}
	kernel := of(1, 10, 100, 1000)(2, 2, 1, 1)
	tall := op.Geometry{KH: 3, KW: 2, Stride: 1, Pad: op.Padding{Top: 1}}
	moments := of(1, -1, 0, 2*math.Ln2)(1, 1, 4) // two channels of standard deviations 1 and 2

	for _, x := range []example{
		// conv.go: one padded row and column, at the bottom and on the right.
		{
			name: "bias, residual and SiLU", spec: op.Conv2D{Geometry: corner, Bias: true, Residual: true, Act: op.SiLU},
			in:   []value{image, of(1, 0, 0, -1)(2, 2, 1, 1), of(1)(1), of(0, 1, 2, 3)(1, 2, 2, 1)},
			want: []float64{silu(1 - 5 + 1 + 0), silu(3 + 1 + 1), silu(7 + 1 + 2), silu(9 + 1 + 3)},
		},
		{
			name: "asymmetric padding", spec: op.Conv2D{Geometry: corner}, in: []value{image, kernel},
			want: []float64{5421, 603, 87, 9},
		},
		{
			name: "two images of two channels",
			spec: op.Conv2D{Geometry: op.Geometry{KH: 1, KW: 1, Stride: 1}},
			in:   []value{of(1, 2, 3, 4)(2, 1, 1, 2), of(1, 0, 1, 0, 1, 10)(1, 1, 2, 3)},
			want: []float64{1, 2, 21, 3, 4, 43},
		},
		{
			name: "resized", spec: op.Conv2D{Geometry: op.Geometry{KH: 1, KW: 3, Stride: 1}, ResizeH: 2, ResizeW: 4},
			in:   []value{of(1, 2)(1, 1, 2, 1), of(1, 10, 100)(1, 3, 1, 1)},
			want: []float64{211, 221, 211, 221},
		},
		{
			name: "of the image", spec: op.ConvDataGrad{Geometry: corner, H: 3, W: 3, Residual: true},
			in:   []value{of(1, 2, 3, 4)(1, 2, 2, 1), kernel, of(1, 1, 1, 1, 1, 1, 1, 1, 1)(1, 3, 3, 1)},
			want: []float64{2, 11, 3, 101, 1001, 201, 4, 31, 5},
		},
		{
			name: "of the weight", spec: op.ConvWeightGrad{Geometry: corner}, in: []value{image, of(1, 2, 3, 4)(1, 2, 2, 1)},
			want: []float64{1 + 6 + 21 + 36, 2 + 24, 4 + 12, 5},
		},
		{spec: op.SumRows{}, in: []value{of(1, 2, 3, 4, 5, 6)(3, 1, 2)}, want: []float64{9, 12}},

		// pool.go: windows of three rows and two columns, a row and a column apart; those on top see a row of padding.
		{
			spec: op.MaxPool2D{Geometry: tall}, in: []value{of(-1, -2, -3, 4, -5, 6, -7, -8, -9)(1, 3, 3, 1)},
			want: []float64{4, 6, 4, 6},
		},
		{
			name: "two images of two channels", spec: op.MaxPool2D{Geometry: op.Geometry{KH: 2, KW: 1, Stride: 1}},
			in:   []value{of(1, 8, 3, 6, 5, 4, 7, 2)(2, 2, 1, 2)},
			want: []float64{3, 8, 7, 4},
		},
		{
			name: "padding is not counted", spec: op.AvgPool2D{Geometry: tall}, in: []value{image},
			want: []float64{12.0 / 4, 16.0 / 4, 27.0 / 6, 33.0 / 6},
		},
		{
			name: "padding is counted", spec: op.AvgPool2D{Geometry: tall, CountIncludePad: true}, in: []value{image},
			want: []float64{12.0 / 6, 16.0 / 6, 27.0 / 6, 33.0 / 6},
		},
		// linear.go
		{
			name: "bias, residual and SiLU", spec: op.Linear{Bias: true, Residual: true, Act: op.SiLU},
			in:   []value{of(1, 2)(1, 2), of(1, 0, 0, 1, 1, 1)(3, 2), of(1, 2, 3)(3), of(10, 20, 30)(1, 3)},
			want: []float64{silu(12), silu(24), silu(36)},
		},
		{
			spec: op.LinearDataGrad{Residual: true}, in: []value{of(1, 10)(1, 2), of(1, 2, 3, 4, 5, 6)(2, 3), of(1, 1, 1)(1, 3)},
			want: []float64{42, 53, 64},
		},
		{
			spec: op.LinearWeightGrad{}, in: []value{of(1, 2, 3, 4, 5, 6)(2, 3), of(1, 10)(2, 1)},
			want: []float64{41, 52, 63},
		},

		// norm.go: variance + eps is 1 + 3 = 4.
		{
			spec: op.GroupNormStats{Groups: 2, Eps: 3}, in: []value{of(1, 5, 3, 7)(1, 2, 2)},
			want: []float64{2, 0.5, 6, 0.5},
		},
		{
			spec: op.GroupNorm{Groups: 1, SiLU: true},
			in:   []value{of(1, 3)(1, 1, 2), of(2, 0.5)(1, 1, 2), of(1, 2)(2), of(0, 1)(2)},
			want: []float64{silu(-0.5), silu(2)},
		},
		{
			spec: op.GroupNormGradSums{Groups: 1}, in: []value{
				of(1, 3, 3, 1)(1, 2, 2), of(2, 0.5)(1, 1, 2), of(1, 2)(2), of(0, 1)(2), of(1, 10, 100, 1000)(1, 2, 2),
			},
			want: []float64{101, 1010, 49.5, -495},
		},
		{
			name: "means of 5 and 3", spec: op.GroupNormGradInput{Groups: 1}, in: []value{
				of(1, 3)(1, 1, 2), of(2, 0.5)(1, 1, 2), of(1, 2)(2), of(0, 1)(2), of(6, 2)(1, 1, 2), of(6, 2, -2, 4)(1, 2, 2),
			},
			want: []float64{0.5 * (6 - 5 + 0.5*3), 0.5 * (4 - 5 - 0.5*3)},
		},
		{
			spec: op.LayerNorm{Eps: 3}, in: []value{of(1, 3, 7, 5)(2, 2), of(1, 2)(2), of(0, 1)(2)},
			want: []float64{-0.5, 2, 0.5, 0},
		},
		{
			name: "means of 5 and −1/2", spec: op.LayerNormGradInput{Eps: 3},
			in:   []value{of(1, 3)(1, 2), of(1, 2)(2), of(6, 2)(1, 2)},
			want: []float64{0.5 * (6 - 5 - 0.5*0.5), 0.5 * (4 - 5 + 0.5*0.5)},
		},
		{
			spec: op.LayerNormGradParams{Eps: 3}, in: []value{of(1, 3, 7, 5)(2, 2), of(1, 10, 100, 1000)(2, 2)},
			want: []float64{101, 1010, 49.5, -495},
		},

		// attention.go: logits 0 and ln 3 make probabilities of 1/4 and 3/4; the second head's query is 0, its keys count the
		// same.
		{
			name: "two heads", spec: op.Attention{Heads: 2},
			in:   []value{of(1, 0)(1, 1, 2), of(0, 5, math.Log(3), 7)(1, 2, 2), of(4, 10, 8, 30)(1, 2, 2)},
			want: []float64{7, 20},
		},
		{
			name: "causal", spec: op.Attention{Heads: 1, Causal: true},
			in:   []value{of(0, 0)(1, 2, 1), of(1, 1)(1, 2, 1), of(2, 4)(1, 2, 1)},
			want: []float64{2, 3},
		},
		{
			// P = [1/4 3/4], dP = [4 8], P·dP = 7, dS = [−3/4 3/4].
			spec: op.AttentionGrad{Heads: 1},
			in:   []value{of(1)(1, 1, 1), of(0, math.Log(3))(1, 2, 1), of(4, 8)(1, 2, 1), of(1)(1, 1, 1)},
			want: []float64{0.75 * math.Log(3), -0.75, 0.75, 0.25, 0.75},
		},

		// activation.go
		{spec: op.Activation{Act: op.SiLU}, in: []value{of(0, 1, -1000)(3)}, want: []float64{0, e / (e + 1), 0}},
		{spec: op.Activation{Act: op.GELU}, in: []value{of(0, 1, -1, -1000)(4)}, want: []float64{0, gelu1, gelu1 - 1, 0}},
		{spec: op.Activation{Act: op.QuickGELU}, in: []value{of(0, 1/1.702)(2)}, want: []float64{0, e / (e + 1) / 1.702}},
		{spec: op.ActivationGrad{Act: op.SiLU}, in: []value{of(0, -1000)(2), of(2, 1)(2)}, want: []float64{1, 0}},
		{spec: op.ActivationGrad{Act: op.GELU}, in: []value{of(0, 1)(2), of(2, 10)(2)}, want: []float64{1, 10 * dgelu1}},
		{spec: op.ActivationGrad{Act: op.QuickGELU}, in: []value{of(0)(1), of(2)(1)}, want: []float64{1}},
		{spec: op.Activation{Act: op.ReLU}, in: []value{of(0, 2, -3)(3)}, want: []float64{0, 2, 0}},
		{spec: op.ActivationGrad{Act: op.ReLU}, in: []value{of(0, 2, -3)(3), of(5, 6, 7)(3)}, want: []float64{0, 6, 0}},
		{spec: op.GEGLU{}, in: []value{of(2, 3, 1, 0)(1, 4)}, want: []float64{2 * gelu1, 0}},
		{
			spec: op.GEGLUGrad{}, in: []value{of(2, 3, 1, 0)(1, 4), of(10, 100)(1, 2)},
			want: []float64{10 * gelu1, 0, 20 * dgelu1, 150},
		},

		// elementwise.go
		{spec: op.Add{}, in: []value{of(1, 2)(2), of(10, 20)(2)}, want: []float64{11, 22}},
		{spec: op.Mul{}, in: []value{of(1, 2)(2), of(10, 20)(2)}, want: []float64{10, 40}},
		{spec: op.Scale{Factor: -2}, in: []value{of(1, 2)(2)}, want: []float64{-2, -4}},
		{spec: op.AddChannels{}, in: []value{of(1, 2, 3, 4)(2, 2, 1), of(10, 20)(2, 1)}, want: []float64{11, 12, 23, 24}},
		{spec: op.SumPixels{}, in: []value{of(1, 2, 3, 4, 5, 6, 7, 8)(2, 2, 2)}, want: []float64{4, 6, 12, 14}},
		{spec: op.AddBatch{}, in: []value{of(1, 2, 3, 4)(2, 2), of(10, 20)(2)}, want: []float64{11, 22, 13, 24}},
		{spec: op.SumBatch{}, in: []value{of(1, 2, 3, 4)(2, 2)}, want: []float64{4, 6}},
		{spec: op.Cast{From: op.Exact}, in: []value{of(1, 2)(2)}, want: []float64{1, 2}},

		// concat.go
		{spec: op.Concat{Axis: 1}, in: []value{of(1, 2)(2, 1), of(3, 4, 5, 6)(2, 2)}, want: []float64{1, 3, 4, 2, 5, 6}},
		{spec: op.Slice{Axis: 1, Offset: 1, Length: 2}, in: []value{of(1, 2, 3, 4, 5, 6)(2, 3)}, want: []float64{2, 3, 5, 6}},
		{spec: op.ZeroPad{Axis: 1, Before: 1, Size: 3}, in: []value{of(1, 2)(2, 1)}, want: []float64{0, 1, 0, 0, 2, 0}},

		// upsample.go: rows 0 0 1 and columns 0 0 1 1.
		{
			spec: op.Upsample{H: 3, W: 4}, in: []value{of(1, 2, 3, 4)(1, 2, 2, 1)},
			want: []float64{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4},
		},
		{
			spec: op.UpsampleGrad{H: 2, W: 2}, in: []value{of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)(1, 3, 4, 1)},
			want: []float64{1 + 2 + 5 + 6, 3 + 4 + 7 + 8, 9 + 10, 11 + 12},
		},

		// embedding.go
		{spec: op.Embedding{}, in: []value{of(1, 0, 1)(3), of(1, 2, 3, 4)(2, 2)}, want: []float64{3, 4, 1, 2, 3, 4}},

		// softmax.go

		// posterior.go
		{spec: op.PosteriorSample{}, in: []value{moments, of(3, 10)(1, 1, 2)}, want: []float64{1 + 3, -1 + 20}},
		{
			name: "clamped", spec: op.PosteriorSample{}, in: []value{of(1, 2, 21, -1000)(1, 4), of(1, 1)(1, 2)},
			want: []float64{1 + math.Exp(10), 2 + math.Exp(-15)},
		},
		{
			spec: op.PosteriorSampleGrad{}, in: []value{moments, of(3, 10)(1, 1, 2), of(5, 7)(1, 1, 2)},
			want: []float64{5, 7, 5 * 3 * 0.5, 7 * 10},
		},
		{
			name: "at the bounds and beyond", spec: op.PosteriorSampleGrad{},
			in:   []value{of(0, 0, 0, 0, 20, 20.5, -30, -30.5)(1, 8), of(2, 2, 2, 2)(1, 4), of(1, 1, 1, 1)(1, 4)},
			want: []float64{1, 1, 1, 1, math.Exp(10), 0, math.Exp(-15), 0},
		},
		{
			name: "two images", spec: op.KLDivergence{}, in: []value{of(1, -1, 0, 2*math.Ln2, 2, 0, 0, 0)(2, 4)},
			want: []float64{(0.5 + (0.5 + (4-1-2*math.Ln2)/2) + 2) / 2},
		},
		{
			name: "clamped", spec: op.KLDivergence{}, in: []value{of(0, -100)(1, 2)},
			want: []float64{(math.Exp(-30) - 1 + 30) / 2},
		},
		{
			name: "two images", spec: op.KLDivergenceGrad{}, in: []value{of(1, -1, 0, 2*math.Ln2, 2, 0, -31, 0)(2, 4), of(4)()},
			want: []float64{2, -2, 0, 3, 4, 0, 0, 0},
		},
		// loss.go
		{spec: op.MSE{}, in: []value{of(1, 2, 3, 4)(2, 2), of(1, 1, 1, 1)(2, 2)}, want: []float64{14.0 / 4}},
		{
			name: "weighted", spec: op.MSE{Weighted: true},
			in: []value{of(1, 2, 3, 4)(2, 2), of(1, 1, 1, 1)(2, 2), of(1, 10)(2)}, want: []float64{131.0 / 4},
		},
		{
			name: "weighted", spec: op.MSEGrad{Weighted: true},
			in: []value{of(1, 2, 3, 4)(2, 2), of(1, 1, 1, 1)(2, 2), of(2)(), of(1, 10)(2)}, want: []float64{0, 1, 20, 30},
		},

		// timestep.go: frequencies 1 and 1/100.
		{
			name: "cosines first", spec: op.TimestepEmbedding{Channels: 4, CosFirst: true}, in: []value{of(0, 1)(2)},
			want: []float64{1, 1, 0, 0, math.Cos(1), math.Cos(0.01), math.Sin(1), math.Sin(0.01)},
		},
		{
			name: "shifted", spec: op.TimestepEmbedding{Channels: 4, FreqShift: 1}, in: []value{of(1)(1)},
			want: []float64{math.Sin(1), math.Sin(1e-4), math.Cos(1), math.Cos(1e-4)},
		},

		// optimizer.go: the gradient is 2 after the scale; with β1 = 1/2 and β2 = 3/4, m = 1.5 and v = 4.
		{
			spec: op.AdamW{Scaled: true}, in: []value{
				of(10)(1), of(4)(1), of(1)(1), of(4)(1), of(0.5, 0.5, 0.25, 1, 0.25, 0.25, 0.5)(7), of(0.5)(),
			},
			want:    []float64{10*(1-0.125) - 0.5/0.25*1.5/(2/0.5+1)},
			updated: map[int][]float64{2: {1.5}, 3: {4}},
		},
		{spec: op.MovingAverage{}, in: []value{of(4, 8)(2), of(2, 16)(2), of(0.25)(1)}, want: []float64{3.5, 10}},
		{spec: op.GlobalNorm{}, in: []value{of(1, 2)(2), of(2)(), of(4)(1, 1)}, want: []float64{5}},
		{spec: op.ClipScale{Max: 2}, in: []value{of(4)()}, want: []float64{2 / 4.000001}},
		{spec: op.ClipScale{Max: 2}, in: []value{of(1)()}, want: []float64{1}},
	} {
		t.Run(strings.TrimSpace(op.Name(x.spec)+" "+x.name), func(t *testing.T) {
			// Rounding of a handful of operations; timestepEmbedding's angles are in float32 always.
			check[float32](t, x, 2e-6)
			check[float64](t, x, 1e-7)
		})
	}
}

// check runs an example with memory of its own for the output and in all ways in which it may share an input's.
func check[T float32 | float64](t *testing.T, x example, margin float64) {
	t.Helper()
	places := []int{-1}
	switch s := x.spec.(type) {
	case op.Updater:
		places = []int{0}
	case op.InPlacer:
		places = append(places, s.InPlace(len(x.in))...)
	}
	near := cmpopts.EquateApprox(margin, margin)
	for _, p := range places {
		got, in, err := run[T](x, p)
		if err != nil {
			t.Fatal(err)
		}
		where := fmt.Sprintf("%T, output in input %d", *new(T), p)
		if diff := cmp.Diff(x.want, got, near); diff != "" {
			t.Errorf("%s (-want +got):\n%s", where, diff)
		}
		for i, want := range x.updated {
			if diff := cmp.Diff(want, in[i], near); diff != "" {
				t.Errorf("%s, input %d (-want +got):\n%s", where, i, diff)
			}
		}
	}
}

func TestIDOutOfRange(t *testing.T) {
	x := example{spec: op.Embedding{}, in: []value{of(0, 7, 1)(3), of(1, 2, 3)(3, 1)}}
	_, _, err := run[float32](x, -1)
	if err == nil || !strings.Contains(err.Error(), "id 7 at 1") || !strings.Contains(err.Error(), "[0,3)") {
		t.Errorf("error %v: want one with the id and the number of rows", err)
	}
}

// A program has one floating-point type.
func TestMixedTypes(t *testing.T) {
	f32, f64 := device.Operand{Shape: tensor.Shape{2}, DType: device.Float32},
		device.Operand{Shape: tensor.Shape{2}, DType: device.Float64}
	d := ref.New()
	for _, r := range []device.Request{
		{Spec: op.Add{}, In: []device.Operand{f32, f64}, Out: f32},
		{Spec: op.Cast{}, In: []device.Operand{f64}, Out: f32},
	} {
		if _, err := d.Compile(r); !errors.Is(err, device.ErrUnsupported) {
			t.Errorf("%s: error %v, want ErrUnsupported", op.Name(r.Spec), err)
		}
	}
}

func TestCloseReportsMemory(t *testing.T) {
	d := ref.New()
	m, err := d.Alloc(10)
	if err != nil {
		t.Fatal(err)
	}
	if d.Close() == nil {
		t.Error("no error for 10 bytes that were not freed")
	}
	if err := errors.Join(d.Free(m), d.Close()); err != nil {
		t.Error(err)
	}
}
