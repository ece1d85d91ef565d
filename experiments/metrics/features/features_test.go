package features_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/resnet"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// save writes tensors made by formula.
func save(t testing.TB, path string, w formula.Weights, tensors map[string][]int) {
	t.Helper()
	var all []weights.Tensor
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		all = append(all, weights.NewTensor(name, tensors[name], w.Values(name, tensors[name]...)))
	}
	if err := weights.Save(path, all, weights.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
}

// imagesOf are the images of a golden tensor uint8 [N,H,W,3].
func imagesOf(x golden.Tensor[uint8]) []*imagefile.Image {
	n, h, w := x.Shape[0], x.Shape[1], x.Shape[2]
	out := make([]*imagefile.Image, n)
	for i := range out {
		out[i] = &imagefile.Image{Width: w, Height: h, Pix: x.Data[i*h*w*3 : (i+1)*h*w*3]}
	}
	return out
}

func open(t testing.TB, kind features.Kind, path string, o features.Options) *features.Extractor {
	t.Helper()
	e, err := features.Open(kind, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func extract(t testing.TB, e *features.Extractor, images ...*imagefile.Image) [][]float32 {
	t.Helper()
	rows, err := e.Extract(context.Background(), images)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(images) {
		t.Fatalf("%d rows, want %d", len(rows), len(images))
	}
	for i, row := range rows {
		if len(row) != e.Dim() {
			t.Fatalf("row %d has %d features, want %d", i, len(row), e.Dim())
		}
	}
	return rows
}

// TestInceptionFeaturesEqualPyTorch goes the whole way from a file of weights and images to rows, for FID's network and
// KID's.
func TestInceptionFeaturesEqualPyTorch(t *testing.T) {
	f := networktest.OpenFormula(t, "metrics_nets")
	images := imagesOf(f.Uint8(t, "images"))
	d := networktest.Open(t, "auto")
	for network, c := range map[string]struct {
		kind features.Kind
		file string
	}{
		"fid_inception": {features.FIDInception, "pt_inception-2015-12-05-6726825d.safetensors"},
		"inception_v3":  {features.Inception, "inception_v3_google-0cc3c7bd.safetensors"},
	} {
		t.Run(network, func(t *testing.T) {
			folder := t.TempDir()
			save(t, filepath.Join(folder, c.file), f.Weights(network), f.Tensors(t, network))
			e := open(t, c.kind, folder, features.Options{Device: d, Batch: 2})
			if diff := cmp.Diff([]int{2048}, e.Layers()); diff != "" {
				t.Errorf("layers (-want +got):\n%s", diff)
			}
			f.Compare(t, network, "pool3_2048", slices.Concat(extract(t, e, images...)...))
			// Three images are a batch and a remainder, in the order given.
			again := extract(t, e, images[1], images[0], images[1])
			f.Compare(t, network, "pool3_2048", slices.Concat(again[1], again[2]))
		})
	}
}

// TestResNetMeansEqualTorchvision, and images of several sizes in one call.
func TestResNetMeansEqualTorchvision(t *testing.T) {
	f := networktest.OpenFormula(t, "metrics_nets")
	images := imagesOf(f.Uint8(t, "images"))
	path := filepath.Join(t.TempDir(), "any name.safetensors")
	save(t, path, f.Weights("resnet50"), f.Tensors(t, "resnet50"))
	e := open(t, features.ResNet50, path, features.Options{Device: networktest.Open(t, "auto")})
	channels := resnet.Channels()
	if diff := cmp.Diff(channels[:], e.Layers()); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
	other := imagefile.New(96, 64)
	rows := extract(t, e, images[0], other, images[1])
	at := 0
	for i, n := range channels {
		f.Compare(t, "resnet50", fmt.Sprintf("layer_%d_channel_means", i+1),
			slices.Concat(rows[0][at:at+n], rows[2][at:at+n]))
		at += n
	}
	if slices.Equal(rows[0], rows[1]) {
		t.Error("a black image has the features of another one")
	}
}

// TestPhikonClassTokenEqualsTransformers with the small network of the golden set.
func TestPhikonClassTokenEqualsTransformers(t *testing.T) {
	f := golden.Open(t, "vit.safetensors")
	e := open(t, features.Phikon, golden.Path(t, "tiny-phikon"), features.Options{Device: networktest.Open(t, "auto")})
	for i := 0; f.Has(fmt.Sprintf("%d/image", i)); i++ {
		x := f.Uint8(t, fmt.Sprintf("%d/image", i))
		want := f.Float32(t, fmt.Sprintf("%d/last_hidden_state", i))
		row := extract(t, e, imagesOf(golden.Tensor[uint8]{Shape: append([]int{1}, x.Shape...), Data: x.Data})...)[0]
		golden.Within(t, row, want.Data[:e.Dim()], f.Tolerance(t, "last_hidden_state"))
	}
}

// TestTileEncoder: a file bound by the extractor makes the same rows as parameters bound by hand.
func TestTileEncoder(t *testing.T) {
	c := vit.TimmConfig{
		EmbedDim: 16, Depth: 2, NumHeads: 2, Hidden: 32, SwiGLU: true, LayerScale: true, ImageSize: 224,
		PatchSize: 16,
	}
	w := formula.Weights{Seed: 3, Gain: 1}
	n, err := vit.BuildTimm(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string][]int{"head.weight": {4, 16}} // a classifier is left aside
	for _, p := range n.Scope.Params() {
		shape := p.Shape().Clone()
		if len(shape) == 4 {
			shape[0], shape[1], shape[2], shape[3] = shape[3], shape[2], shape[0], shape[1]
		}
		tensors[p.Name()] = shape
	}
	folder, d := t.TempDir(), networktest.Open(t, "auto")
	save(t, filepath.Join(folder, "model.safetensors"), w, tensors)
	e, err := features.OpenTileEncoder(c, folder, features.Options{Device: d})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	image := imagefile.New(300, 260)
	for i := range image.Pix {
		image.Pix[i] = uint8(i * i / 7)
	}
	m, err := w.Bind(n.Scope.Params())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := n.Folds.Fold(); err != nil {
		t.Fatal(err)
	}
	pixels, err := vit.PreprocessTile(image.Pix, image.Width, image.Height)
	if err != nil {
		t.Fatal(err)
	}
	x := networktest.Dense(golden.Tensor[float32]{Shape: []int{1, 224, 224, 3}, Data: pixels})
	want := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{n.Class}, vm.Feeds{n.Pixels: x})[0].Data
	// The extractor's batches have another size; the reference device adds the products of those up in another order.
	golden.Within(t, extract(t, e, image)[0], want, golden.Tolerance{Atol: 1e-6})
	// Another program over the same weights, of which the first one's compiler has given some back.
	golden.Within(t, extract(t, e, imagefile.New(30, 40), image)[1], want, golden.Tolerance{Atol: 1e-5})
}

// TestFingerprint: other weights, precisions and kinds have other fingerprints, the same have the same.
func TestFingerprint(t *testing.T) {
	c := vit.TimmConfig{EmbedDim: 8, Depth: 1, NumHeads: 1, Hidden: 8, ImageSize: 224, PatchSize: 112}
	n, err := vit.BuildTimm(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	d := networktest.Open(t, "ref")
	fingerprint := func(seed uint64, p vm.Precision) string {
		m, err := (formula.Weights{Seed: seed, Gain: 1}).Bind(n.Scope.Params())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		all, err := weights.FromParams(n.Scope.Params())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "model.safetensors")
		if err := weights.Save(path, all, weights.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		e, err := features.OpenTileEncoder(c, path, features.Options{Device: d, Precision: p})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		return e.Fingerprint()
	}
	one := fingerprint(1, vm.Float32)
	if again := fingerprint(1, vm.Float32); one == "" || again != one {
		t.Errorf("the same weights have fingerprints %q and %q", one, again)
	}
	if other := fingerprint(2, vm.Float32); other == one {
		t.Error("other weights have the same fingerprint")
	}
	if other := fingerprint(1, vm.Float64); other == one {
		t.Error("another precision has the same fingerprint")
	}
}

func TestOpenRefuses(t *testing.T) {
	var none device.Device
	d := networktest.Open(t, "ref")
	empty := t.TempDir()
	t.Setenv("TORCH_HOME", filepath.Join(empty, "torch"))
	t.Setenv("HF_HUB_CACHE", filepath.Join(empty, "hub"))
	wrong := filepath.Join(t.TempDir(), "model.safetensors")
	if err := weights.Save(wrong, []weights.Tensor{weights.NewTensor("conv1.weight", []int{1}, []float32{1})},
		weights.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind  features.Kind
		path  string
		o     features.Options
		wants []string
	}{
		{features.FIDInception, empty, features.Options{Device: d}, []string{
			"weights of pytorch-fid's Inception v3: no weights: want pt_inception-2015-12-05-6726825d.pth, looked in " +
				empty, "https://github.com/mseitzer/pytorch-fid",
		}},
		{
			features.ResNet50, "",
			features.Options{Device: d},
			[]string{"resnet50-0676ba61.pth or resnet50-19c8e357.pth", "torch/hub/checkpoints"},
		},
		{
			features.GigaPath, "",
			features.Options{Device: d},
			[]string{"prov-gigapath/prov-gigapath", "pytorch_model.bin", "access on request"},
		},
		{
			features.Phikon, filepath.Join(empty, "none"),
			features.Options{Device: d},
			[]string{"no weights", "none", "https://huggingface.co/owkin/phikon"},
		},
		{
			features.Inception, wrong,
			features.Options{Device: d},
			[]string{"model.safetensors does not fit the network", "Conv2d_1a_3x3.conv.weight", "conv1.weight"},
		},
		{
			features.ResNet50, wrong,
			features.Options{Device: d},
			[]string{"another shape or type (1):", "conv1.weight: [1] in the file, want [64 3 7 7]"},
		},
		{features.Inception, wrong, features.Options{Device: none}, []string{"no device"}},
		{features.Inception, wrong, features.Options{Device: d, Batch: -1}, []string{"batch of -1 images"}},
		{
			"vgg", wrong,
			features.Options{Device: d},
			[]string{`network "vgg": want one of [fid-inception inception resnet50 gigapath phikon]`},
		},
	} {
		_, err := features.Open(c.kind, c.path, c.o)
		for _, want := range c.wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %q: %v, want … %s", c.kind, c.path, err, want)
			}
		}
		if missing := len(c.wants) > 0 &&
			strings.Contains(fmt.Sprint(err), "looked in"); missing != errors.Is(err, features.ErrNoWeights) {
			t.Errorf("%s %q: ErrNoWeights is %v: %v", c.kind, c.path, !missing, err)
		}
	}
	if err := os.Remove(wrong); err != nil { // nothing keeps it open
		t.Error(err)
	}
}

func TestExtractRefuses(t *testing.T) {
	e := open(t, features.Phikon, golden.Path(t, "tiny-phikon"), features.Options{Device: networktest.Open(t, "ref")})
	good := imagefile.New(8, 8)
	for _, bad := range []*imagefile.Image{nil, {}, {Width: 2, Height: 2, Pix: make([]uint8, 11)}} {
		if _, err := e.Extract(t.Context(), []*imagefile.Image{good, bad}); err == nil ||
			!strings.Contains(err.Error(), "image 1: ") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Extract(ctx, []*imagefile.Image{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
	if rows, err := e.Extract(t.Context(), nil); err != nil || len(rows) != 0 {
		t.Errorf("no images: %d rows, %v", len(rows), err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Extract(t.Context(), []*imagefile.Image{good}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("after Close: %v", err)
	}
}
