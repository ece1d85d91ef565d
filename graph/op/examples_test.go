package op

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// example is an operation with inputs that fit.
type example struct {
	spec Spec
	in   []tensor.Shape
	out  tensor.Shape
}

// examples has each operation with every optional input.
func examples() []example {
	type shapes = []tensor.Shape
	scalar := tensor.ScalarShape()
	geometry := Geometry{KH: 3, KW: 2, Stride: 2, Pad: Padding{Top: 1, Left: 0, Bottom: 2, Right: 1}}
	x, w, y := tensor.Shape{2, 6, 5, 4}, tensor.Shape{3, 2, 4, 7}, tensor.Shape{2, 4, 3, 7}
	window, pooled := Geometry{KH: 3, KW: 2, Stride: 2, Pad: Padding{Top: 2, Bottom: 1, Right: 1}},
		tensor.Shape{2, 4, 3, 4}
	tokens := tensor.Shape{2, 5, 6}
	stats, c := tensor.Shape{2, 3, 2}, tensor.Shape{6}
	return []example{
		{Conv2D{Geometry: geometry, Bias: true, Residual: true}, shapes{x, w, {7}, y}, y},
		{Conv2D{Geometry: geometry, ResizeH: 6, ResizeW: 5, Act: SiLU}, shapes{{2, 3, 3, 4}, w}, y},
		{ConvDataGrad{Geometry: geometry, H: 6, W: 5, Residual: true}, shapes{y, w, x}, x},
		{ConvWeightGrad{geometry}, shapes{x, y}, w},
		{SumRows{}, shapes{x}, tensor.Shape{4}},
		{MaxPool2D{window}, shapes{x}, pooled},
		{AvgPool2D{Geometry: window, CountIncludePad: true}, shapes{x}, pooled},
		{Linear{Bias: true, Residual: true}, shapes{tokens, {7, 6}, {7}, {2, 5, 7}}, tensor.Shape{2, 5, 7}},
		{Linear{Act: GELU}, shapes{tokens, {7, 6}}, tensor.Shape{2, 5, 7}},
		{LinearDataGrad{Residual: true}, shapes{{2, 5, 7}, {7, 6}, tokens}, tokens},
		{LinearWeightGrad{}, shapes{tokens, {2, 5, 7}}, tensor.Shape{7, 6}},
		{Attention{Heads: 2}, shapes{tokens, {2, 9, 6}, {2, 9, 6}}, tokens},
		{Attention{Heads: 3, Causal: true}, shapes{tokens, tokens, tokens}, tokens},
		{AttentionGrad{Heads: 2}, shapes{tokens, {2, 9, 6}, {2, 9, 6}, tokens}, tensor.Shape{60 + 2*108}},
		{GroupNormStats{Groups: 3, Eps: 1e-5}, shapes{tokens}, stats},
		{GroupNorm{Groups: 3, SiLU: true}, shapes{tokens, stats, c, c}, tokens},
		{GroupNormGradSums{Groups: 3, SiLU: true}, shapes{tokens, stats, c, c, tokens}, tensor.Shape{2, 2, 6}},
		{GroupNormGradInput{Groups: 3, SiLU: true}, shapes{tokens, stats, c, c, tokens, {2, 2, 6}}, tokens},
		{LayerNorm{Eps: 1e-5}, shapes{tokens, c, c}, tokens},
		{LayerNormGradInput{Eps: 1e-5}, shapes{tokens, c, tokens}, tokens},
		{LayerNormGradParams{Eps: 1e-5}, shapes{tokens, tokens}, tensor.Shape{2, 6}},
		{Activation{Act: SiLU}, shapes{tokens}, tokens},
		{ActivationGrad{Act: SiLU}, shapes{tokens, tokens}, tokens},
		{GEGLU{}, shapes{tokens}, tensor.Shape{2, 5, 3}},
		{GEGLUGrad{}, shapes{tokens, {2, 5, 3}}, tokens},
		{Add{}, shapes{x, x}, x},
		{Mul{}, shapes{x, x}, x},
		{Scale{Factor: 0.5}, shapes{x}, x},
		{AddChannels{}, shapes{x, {2, 4}}, x},
		{SumPixels{}, shapes{x}, tensor.Shape{2, 4}},
		{AddBatch{}, shapes{tokens, {5, 6}}, tokens},
		{SumBatch{}, shapes{tokens}, tensor.Shape{5, 6}},
		{Cast{From: Feature, To: Exact}, shapes{tokens}, tokens},
		{Concat{Axis: 1}, shapes{{2, 3, 6}, {2, 2, 6}}, tokens},
		{Slice{Axis: 1, Offset: 1, Length: 3}, shapes{tokens}, tensor.Shape{2, 3, 6}},
		{ZeroPad{Axis: 1, Before: 1, Size: 9}, shapes{tokens}, tensor.Shape{2, 9, 6}},
		{Upsample{H: 13, W: 7}, shapes{x}, tensor.Shape{2, 13, 7, 4}},
		{UpsampleGrad{H: 3, W: 2}, shapes{x}, tensor.Shape{2, 3, 2, 4}},
		{View{10, 6}, shapes{tokens}, tensor.Shape{10, 6}},
		{Pick{Offset: 7, Shape: tensor.Shape{3, 2}, Store: Exact}, shapes{{2, 8}}, tensor.Shape{3, 2}},
		{Embedding{}, shapes{{2, 5}, {9, 6}}, tokens},
		{PosteriorSample{}, shapes{tokens, {2, 5, 3}}, tensor.Shape{2, 5, 3}},
		{PosteriorSampleGrad{}, shapes{tokens, {2, 5, 3}, {2, 5, 3}}, tokens},
		{KLDivergence{}, shapes{tokens}, scalar},
		{KLDivergenceGrad{}, shapes{tokens, scalar}, tokens},
		{MSE{Weighted: true}, shapes{tokens, tokens, {2}}, scalar},
		{MSEGrad{Weighted: true}, shapes{tokens, tokens, scalar, {2}}, tokens},
		{TimestepEmbedding{Channels: 8, CosFirst: true, FreqShift: 1}, shapes{{3}}, tensor.Shape{3, 8}},
		{Accumulate{}, shapes{tokens, tokens, {1}}, tokens},
		{AdamW{Scaled: true}, shapes{tokens, tokens, tokens, tokens, {7}, scalar}, tokens},
		{MovingAverage{}, shapes{tokens, tokens, {1}}, tokens},
		{GlobalNorm{}, shapes{tokens, c}, scalar},
		{ClipScale{Max: 1}, shapes{scalar}, scalar},
	}
}

// TestExamplesAreComplete finds the operations as the types with a method Infer.
func TestExamplesAreComplete(t *testing.T) {
	have := map[string]bool{}
	for _, e := range examples() {
		have[Name(e.spec)] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Infer" {
				continue
			}
			if id, ok := f.Recv.List[0].Type.(*ast.Ident); ok && !have[id.Name] {
				t.Errorf("%s in %s: no example, or Name isn't the type's", id.Name, path)
			}
		}
	}
}
