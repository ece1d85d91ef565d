package evaluate_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// The networks of the paper at full size, with weights by formula in files of the published names: equal images are
// perfect, a copy of the H&E is the floor. GigaPath, of 1.1 billion weights, is left out, and Phikon is the small one
// of the reference data.
func TestFullNetworks(t *testing.T) {
	if os.Getenv("HISTDIST_FULL") == "" {
		t.Skip("minutes: HISTDIST_FULL=1 runs it")
	}
	f := networktest.OpenFormula(t, "metrics_nets")
	files := t.TempDir()
	for network, name := range map[string]string{
		"fid_inception": "pt_inception-2015-12-05-6726825d.safetensors",
		"inception_v3":  "inception_v3_google-0cc3c7bd.safetensors",
		"resnet50":      "resnet50-0676ba61.safetensors",
	} {
		var all []weights.Tensor
		shapes, values := f.Tensors(t, network), f.Weights(network)
		for _, tensor := range slices.Sorted(maps.Keys(shapes)) {
			all = append(all, weights.NewTensor(tensor, shapes[tensor], values.Values(tensor, shapes[tensor]...)))
		}
		if err := weights.Save(filepath.Join(files, name), all, weights.SaveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HF_HOME", t.TempDir())
	folder, _ := tissue(t, 10, 96)
	networks := func() []evaluate.Network {
		return evaluate.Networks(map[features.Kind]string{features.Phikon: golden.Path(t, "tiny-phikon")}, files,
			features.Options{Device: networktest.Open(t, "auto")})
	}
	for set, test := range map[string]func(*testing.T, *evaluate.Results){"real": perfect, "he": floor} {
		o := options(t, folder, filepath.Join(folder, set))
		o.Networks = networks()
		r, _ := run(t, o)
		if r.Failed() || len(r.NotComputed) != 2 {
			t.Fatalf("problems %v, not computed %v", r.Problems, r.NotComputed)
		}
		for _, id := range []string{"fid", "kid", "kid_full", "phv_layer1", "phv_layer4", "retrieval_phikon_top1"} {
			if r.Metric(id) == nil {
				t.Errorf("%s is missing", id)
			}
		}
		test(t, r)
	}
}
