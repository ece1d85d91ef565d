package vit_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/interpolate"
	"github.com/histdist/histdist/internal/networktest"
)

// TestTimmBaseEqualsTimm compares with timm's vit_base_patch16_224.
func TestTimmBaseEqualsTimm(t *testing.T) {
	const name = "vit_base_timm"
	f := networktest.OpenFormula(t, "metrics_nets")
	c := vit.TimmBase()
	x := timmPixels(t, f.Uint8(t, "images"), c.ImageSize)
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		n, err := vit.BuildTimm(c, x.Shape[0])
		if err != nil {
			t.Fatal(err)
		}
		f.Bind(t, name, n.Scope, nil)
		got := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{n.Class, n.Tokens},
			vm.Feeds{n.Pixels: networktest.Dense(x)})
		f.Compare(t, name, "pooled", got[0].Data)
		first := f.Shape(t, name+"/tokens_first4")[1]
		var tokens []float32
		for i := range x.Shape[0] {
			tokens = append(tokens, got[1].Data[i*c.Tokens()*c.EmbedDim:][:first*c.EmbedDim]...)
		}
		f.Compare(t, name, "tokens_first4", tokens)
	})
}

// timmPixels makes the reference's input: rgb/255 resized bilinearly, less ImageNet's mean and divided by its
// deviation.
func timmPixels(t *testing.T, images golden.Tensor[uint8], side int) golden.Tensor[float32] {
	t.Helper()
	var unit [256]float32
	for grey := range unit {
		unit[grey] = float32(grey) / 255
	}
	mean, std := [3]float32{0.485, 0.456, 0.406}, [3]float32{0.229, 0.224, 0.225}
	n, h, w := images.Shape[0], images.Shape[1], images.Shape[2]
	x := golden.Tensor[float32]{Shape: []int{n, side, side, 3}}
	for i := range n {
		one, err := interpolate.Bilinear(images.Data[i*h*w*3:(i+1)*h*w*3], w, h, side, side, &unit)
		if err != nil {
			t.Fatal(err)
		}
		for j, v := range one {
			x.Data = append(x.Data, (v-mean[j%3])/std[j%3])
		}
	}
	return x
}

// timmReference is testdata/timm.json, which testdata/gigapath_kind.py wrote.
type timmReference struct {
	Seed           uint64
	Gain           float64
	GammaOffset    float32 `json:"gamma_offset"`
	InputAmplitude float64 `json:"input_amplitude"`
	Config         struct {
		ImageSize int `json:"img_size"`
		PatchSize int `json:"patch_size"`
		EmbedDim  int `json:"embed_dim"`
		Depth     int
		NumHeads  int `json:"num_heads"`
		Hidden    int
	}
	Tensors        map[string][]int
	Tokens, Pooled golden.Tensor[float32]
	Tolerance      float64
	GigaPath       struct {
		Parameters int
		Tensors    map[string][]int
	}
}

func readTimm(t *testing.T) timmReference {
	t.Helper()
	text, err := os.ReadFile("testdata/timm.json")
	if err != nil {
		t.Fatal(err)
	}
	var r timmReference
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGigaPathKindEqualsTimm compares a small network with SwiGLU and LayerScale with timm.
func TestGigaPathKindEqualsTimm(t *testing.T) {
	r := readTimm(t)
	c := vit.TimmConfig{
		EmbedDim: r.Config.EmbedDim, Depth: r.Config.Depth, NumHeads: r.Config.NumHeads, Hidden: r.Config.Hidden,
		SwiGLU: true, LayerScale: true, ImageSize: r.Config.ImageSize, PatchSize: r.Config.PatchSize,
	}
	shape := []int{r.Tokens.Shape[0], 3, c.ImageSize, c.ImageSize}
	x := golden.NHWC(golden.Tensor[float32]{
		Shape: shape, Data: formula.Tensor(r.Seed, "input/pixels", tensor.Shape(shape).TotalSize(), float32(r.InputAmplitude),
			0),
	})
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		n, err := vit.BuildTimm(c, shape[0])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.Tensors, fileShapes(n.Scope)); diff != "" {
			t.Fatalf("tensors (-want +got):\n%s", diff)
		}
		m, err := (formula.Weights{Seed: r.Seed, Gain: r.Gain}).Bind(n.Scope.Params())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		for _, p := range n.Scope.Params() {
			if strings.HasSuffix(p.Name(), ".gamma") {
				gamma := p.Value().(*tensor.Dense).Float32s()
				for i := range gamma {
					gamma[i] += r.GammaOffset
				}
			}
		}
		if err := n.Folds.Fold(); err != nil {
			t.Fatal(err)
		}
		got := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{n.Tokens, n.Class},
			vm.Feeds{n.Pixels: networktest.Dense(x)})
		golden.Within(t, got[0].Data, r.Tokens.Data, golden.Tolerance{Atol: golden.Allowed(t, r.Tolerance)})
		golden.Within(t, got[1].Data, r.Pooled.Data, golden.Tolerance{Atol: golden.Allowed(t, r.Tolerance)})
	})
}

// fileShapes are the shapes of parameters as files have them.
func fileShapes(s *op.Scope) map[string][]int {
	all := map[string][]int{}
	for _, p := range s.Params() {
		shape := p.Shape().Clone()
		if len(shape) == 4 {
			shape[0], shape[1], shape[2], shape[3] = shape[3], shape[2], shape[0], shape[1]
		}
		all[p.Name()] = shape
	}
	return all
}

// TestGigaPathTensors: the tensors of the whole tile encoder are those that timm makes for its configuration.
func TestGigaPathTensors(t *testing.T) {
	r := readTimm(t)
	n, err := vit.BuildTimm(vit.GigaPath(), 1)
	if err != nil {
		t.Fatal(err)
	}
	have, count := fileShapes(n.Scope), 0
	for _, shape := range have {
		count += tensor.Shape(shape).TotalSize()
	}
	if count != r.GigaPath.Parameters {
		t.Errorf("%d parameters, want %d", count, r.GigaPath.Parameters)
	}
	for name, want := range r.GigaPath.Tensors {
		if diff := cmp.Diff(want, have[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTimmConfigRefuses(t *testing.T) {
	c := vit.TimmBase()
	c.NumHeads, c.PatchSize, c.Hidden, c.SwiGLU, c.Depth = 5, 15, 3, true, 0
	_, err := vit.BuildTimm(c, 1)
	for _, want := range []string{
		"depth: 0", "want a multiple of num_heads (5)", "want a multiple of patch_size (15)",
		"hidden: 3: want an even number",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
