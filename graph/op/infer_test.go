package op

import (
	"fmt"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// TestInferSaysWhatIsWrong: a message names what was got and what is wanted.
func TestInferSaysWhatIsWrong(t *testing.T) {
	type shapes = []tensor.Shape
	same := Geometry{KH: 3, KW: 3, Stride: 1, Pad: Pad(1)}
	half := Geometry{KH: 3, KW: 3, Stride: 2}
	x, w, y := tensor.Shape{1, 8, 8, 320}, tensor.Shape{3, 3, 320, 640}, tensor.Shape{1, 8, 8, 640}
	tokens, c := tensor.Shape{2, 5, 6}, tensor.Shape{6}
	stats, sums := tensor.Shape{2, 3, 2}, tensor.Shape{2, 2, 6}
	group, scalar := GroupNorm{Groups: 3}, tensor.ScalarShape()
	for i, test := range []struct {
		spec Spec
		in   shapes
		want []string // in the message
	}{
		{Conv2D{Geometry: same}, shapes{{8, 8, 320}, w}, []string{"[8 8 320]", "[N,H,W,I]"}},
		{Conv2D{Geometry: same}, shapes{{1, 8, 8, 4}, w}, []string{"[1 8 8 4]", "[3 3 320 640]", "4 channels", "want 320"}},
		{Conv2D{Geometry: same}, shapes{x, {1, 1, 320, 640}}, []string{"[1 1 320 640]", "3×3"}},
		{Conv2D{Geometry: same, Bias: true}, shapes{x, w, {320}}, []string{"bias [320]", "want [640]"}},
		{Conv2D{Geometry: same, Residual: true}, shapes{x, w, x}, []string{"residual [1 8 8 320]", "[1 8 8 640]"}},
		{Conv2D{Geometry: same, ResizeH: 16}, shapes{x, w}, []string{"16×0", "two positive sizes"}},
		{Conv2D{Geometry: Geometry{KH: 3, KW: 3}}, shapes{x, w}, []string{"stride 0", "at least 1"}},
		{Conv2D{Geometry: Geometry{KH: 3, KW: 3, Stride: 1}}, shapes{{1, 2, 8, 320}, w}, []string{"3×3", "2×8"}},
		{Conv2D{Geometry: Geometry{KH: 3, KW: 3, Stride: 1, Pad: Pad(-1)}}, shapes{x, w}, []string{"-1", "no negative padding"}},
		{ConvDataGrad{Geometry: same, H: 8, W: 8}, shapes{{1, 8, 7, 640}, w}, []string{"[1 8 7 640]", "[N,8,8,O]"}},
		{ConvDataGrad{Geometry: same, H: 8, W: 8}, shapes{y, {3, 3, 320, 6}}, []string{"[1 8 8 640]", "[3 3 320 6]"}},
		{ConvDataGrad{Geometry: same, H: 8, W: 8}, shapes{y, {1, 1, 320, 640}}, []string{"[1 1 320 640]", "3×3"}},
		{ConvDataGrad{Geometry: same, H: 8, W: 8, Residual: true}, shapes{y, w, y}, []string{"residual [1 8 8 640]", "[1 8 8 320]"}},
		{ConvDataGrad{Geometry: Geometry{KH: 3, KW: 3}, H: 8, W: 8}, shapes{y, w}, []string{"stride 0"}},
		{ConvWeightGrad{same}, shapes{x, {1, 4, 8, 640}}, []string{"[1 4 8 640]", "[1,8,8,O]"}},
		{ConvWeightGrad{same}, shapes{x, {2, 8, 8, 640}}, []string{"[1 8 8 320]", "[2 8 8 640]"}},
		{ConvWeightGrad{Geometry{KH: 3, KW: 3}}, shapes{x, y}, []string{"stride 0"}},
		{SumRows{}, shapes{scalar}, []string{"[…,C]"}},

		{MaxPool2D{half}, shapes{tokens}, []string{"[2 5 6]", "[N,H,W,C]"}},
		{MaxPool2D{half}, shapes{{1, 2, 8, 320}}, []string{"3×3", "2×8"}},
		{MaxPool2D{Geometry{KH: 3, KW: 3}}, shapes{x}, []string{"stride 0", "at least 1"}},
		{MaxPool2D{Geometry{KH: 3, KW: 1, Stride: 1, Pad: Pad(1)}}, shapes{x}, []string{"3×1", "{1 1 1 1}", "less padding"}},
		{AvgPool2D{Geometry: half}, shapes{tokens}, []string{"[2 5 6]", "[N,H,W,C]"}},
		{AvgPool2D{Geometry: Geometry{KH: 2, KW: 2, Stride: 1, Pad: Padding{Bottom: 2}}}, shapes{x}, []string{"{0 0 2 0}", "less padding"}},

		{Linear{}, shapes{{1, 4096, 320}, {640, 768}}, []string{"input [1 4096 320] does not match weight [640 768]"}},
		{Linear{}, shapes{tokens, {7, 6, 1}}, []string{"[7 6 1]", "[O,K]"}},
		{Linear{Bias: true}, shapes{tokens, {7, 6}, c}, []string{"bias [6]", "want [7]"}},
		{Linear{Residual: true}, shapes{tokens, {7, 6}, tokens}, []string{"residual [2 5 6]", "[2 5 7]"}},
		{LinearDataGrad{}, shapes{tokens, {7, 6}}, []string{"[2 5 6]", "[7 6]", "[O,K]"}},
		{LinearDataGrad{Residual: true}, shapes{{2, 5, 7}, {7, 6}, {2, 5, 7}}, []string{"residual [2 5 7]", "[2 5 6]"}},
		{LinearWeightGrad{}, shapes{tokens, {2, 6, 7}}, []string{"[2 5 6]", "[2 6 7]", "equally many rows"}},

		{Attention{Heads: 2}, shapes{tokens, {2, 9, 8}, {2, 9, 8}}, []string{"[2 5 6]", "[2 9 8]", "[N,Lk,C]"}},
		{Attention{Heads: 2}, shapes{tokens, {2, 9, 6}, {2, 8, 6}}, []string{"[2 9 6]", "[2 8 6]"}},
		{Attention{Heads: 2}, shapes{tokens, {1, 9, 6}, {1, 9, 6}}, []string{"[2 5 6]", "[1 9 6]"}},
		{Attention{Heads: 4}, shapes{tokens, tokens, tokens}, []string{"6 channels", "4 heads"}},
		{Attention{Heads: 2, Causal: true}, shapes{tokens, {2, 9, 6}, {2, 9, 6}}, []string{"5 queries", "9 keys"}},
		{AttentionGrad{Heads: 2}, shapes{tokens, tokens, tokens, {2, 5, 8}}, []string{"gradient [2 5 8]", "want [2 5 6]"}},

		{GroupNormStats{Groups: 4, Eps: 1e-5}, shapes{tokens}, []string{"[2 5 6]", "6 channels", "4 groups"}},
		{GroupNormStats{Groups: 3}, shapes{tokens}, []string{"eps 0", "more than 0"}},
		{group, shapes{tokens, {2, 2, 2}, c, c}, []string{"statistics [2 2 2]", "want [2 3 2]"}},
		{group, shapes{tokens, stats, {5}, c}, []string{"[2 5 6]", "[5]", "[6]"}},
		{GroupNormGradSums(group), shapes{tokens, stats, c, c, {2, 4, 6}}, []string{"gradient [2 4 6]", "want [2 5 6]"}},
		{GroupNormGradInput(group), shapes{tokens, stats, c, c, tokens, {2, 6}}, []string{"sums [2 6]", "want [2 2 6]"}},
		{GroupNormGradInput(group), shapes{tokens, stats, c, c, {2, 5}, sums}, []string{"gradient [2 5]", "want [2 5 6]"}},
		{LayerNorm{Eps: 1e-5}, shapes{tokens, c, {5}}, []string{"[2 5 6]", "[5]", "[6]"}},
		{LayerNorm{}, shapes{tokens, c, c}, []string{"eps 0", "more than 0"}},
		{LayerNormGradInput{Eps: 1e-5}, shapes{tokens, {5}, tokens}, []string{"[5]", "[C]"}},
		{LayerNormGradParams{Eps: 1e-5}, shapes{tokens, {2, 6, 5}}, []string{"[2 5 6]", "[2 6 5]", "same shape"}},

		{Activation{}, shapes{tokens}, []string{"unknown function"}},
		{Activation{Act: ReLU + 1}, shapes{tokens}, []string{"unknown function 5"}},
		{ActivationGrad{Act: SiLU}, shapes{tokens, c}, []string{"[2 5 6]", "[6]", "one shape"}},
		{GEGLU{}, shapes{{2, 7}}, []string{"[2 7]", "2F"}},
		{GEGLUGrad{}, shapes{tokens, tokens}, []string{"gradient [2 5 6]", "want [2 5 3]"}},
		{Add{}, shapes{tokens, c}, []string{"[2 5 6]", "[6]", "one shape"}},
		{Mul{}, shapes{tokens, c}, []string{"[2 5 6]", "[6]", "one shape"}},
		{AddChannels{}, shapes{tokens, {1, 6}}, []string{"[2 5 6]", "[1 6]", "[N,C]"}},
		{AddBatch{}, shapes{tokens, {4, 6}}, []string{"[2 5 6]", "[4 6]", "[N,…]"}},
		{SumPixels{}, shapes{c}, []string{"[6]", "[N,…,C]"}},
		{SumBatch{}, shapes{c}, []string{"[6]", "[N,…]"}},

		{Concat{Axis: 1}, shapes{tokens, {2, 5, 7}}, []string{"[2 5 6]", "[2 5 7]", "axis 1"}},
		{Concat{Axis: 1}, shapes{tokens, {2, 5}}, []string{"[2 5 6]", "[2 5]", "same number of axes"}},
		{Concat{Axis: 3}, shapes{tokens}, []string{"[2 5 6]", "axis 3"}},
		{Slice{Axis: 1, Offset: 3, Length: 3}, shapes{tokens}, []string{"[2 5 6]", "[3,6)", "axis 1"}},
		{ZeroPad{Axis: 1, Before: 2, Size: 6}, shapes{tokens}, []string{"[2 5 6]", "2 of 6", "axis 1"}},
		{Upsample{H: 4}, shapes{x}, []string{"4×0", "at least 1"}},
		{UpsampleGrad{H: 4, W: 4}, shapes{tokens}, []string{"[2 5 6]", "[N,H,W,C]"}},
		{View{7, 9}, shapes{tokens}, []string{"[2 5 6]", "60", "[7 9]", "63"}},
		{View{-10, -6}, shapes{tokens}, []string{"[-10 -6]", "at least 1"}},
		{Pick{Offset: 58, Shape: tensor.Shape{3}}, shapes{tokens}, []string{"[2 5 6]", "[3]", "58"}},
		{Pick{Shape: tensor.Shape{-1, 3}}, shapes{tokens}, []string{"[-1 3]", "at least 1"}},
		{Embedding{}, shapes{{2, 5}, {9}}, []string{"[2 5]", "[9]", "[V,C]"}},

		{PosteriorSample{}, shapes{{2, 5, 7}, {2, 5, 3}}, []string{"moments [2 5 7]", "[N,…,2C]"}},
		{PosteriorSample{}, shapes{c, {3}}, []string{"moments [6]", "[N,…,2C]"}},
		{PosteriorSample{}, shapes{tokens, tokens}, []string{"noise [2 5 6]", "moments [2 5 6]", "want [2 5 3]"}},
		{PosteriorSampleGrad{}, shapes{tokens, tokens, tokens}, []string{"noise [2 5 6]", "want [2 5 3]"}},
		{PosteriorSampleGrad{}, shapes{tokens, {2, 5, 3}, tokens}, []string{"gradient [2 5 6]", "want [2 5 3]"}},
		{KLDivergence{}, shapes{{2, 5, 7}}, []string{"moments [2 5 7]", "[N,…,2C]"}},
		{KLDivergenceGrad{}, shapes{{2, 5, 7}, scalar}, []string{"moments [2 5 7]", "[N,…,2C]"}},
		{KLDivergenceGrad{}, shapes{tokens, {2}}, []string{"gradient [2]", "scalar"}},
		{MSE{}, shapes{tokens, c}, []string{"[2 5 6]", "[6]", "one shape"}},
		{MSE{Weighted: true}, shapes{tokens, tokens, {3}}, []string{"weights [3]", "want [2]"}},
		{MSEGrad{}, shapes{tokens, tokens, {2}}, []string{"gradient [2]", "scalar"}},
		{MSEGrad{}, shapes{tokens, c, scalar}, []string{"[2 5 6]", "[6]"}},
		{MSEGrad{Weighted: true}, shapes{tokens, tokens, scalar, {3}}, []string{"weights [3]", "want [2]"}},
		{TimestepEmbedding{Channels: 7}, shapes{{2}}, []string{"7 channels", "even"}},
		{TimestepEmbedding{Channels: 8}, shapes{{2, 1}}, []string{"[2 1]", "[N]"}},
		{Accumulate{}, shapes{c, {5}, {1}}, []string{"[6]", "[5]", "one shape"}},
		{Accumulate{}, shapes{c, c, c}, []string{"keep [6]", "one number"}},
		{MovingAverage{}, shapes{c, {5}, {1}}, []string{"[6]", "[5]", "one shape"}},
		{MovingAverage{}, shapes{c, c, c}, []string{"weight [6]", "one number"}},
		{AdamW{}, shapes{c, c, c, {5}, {7}}, []string{"[6]", "[5]", "one shape"}},
		{AdamW{}, shapes{c, c, c, c, {6}}, []string{"hyper [6]", "want [7]"}},
		{AdamW{Scaled: true}, shapes{c, c, c, c, {7}, {2}}, []string{"scale [2]", "scalar"}},
		{ClipScale{}, shapes{scalar}, []string{"0", "more than 0"}},
		{ClipScale{Max: 1}, shapes{{2}}, []string{"[2]", "scalar"}},
		{GlobalNorm{}, nil, []string{"no inputs"}},
	} {
		t.Run(fmt.Sprintf("%s/%d", Name(test.spec), i), func(t *testing.T) {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("%+v of %v: panic: %v", test.spec, test.in, r)
				}
			}()
			out, err := test.spec.Infer(test.in)
			if err == nil {
				t.Fatalf("%+v accepted %v: %v", test.spec, test.in, out)
			}
			for _, w := range test.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q, want it to say %q", err, w)
				}
			}
		})
	}
}
