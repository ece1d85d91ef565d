package networktest

import (
	"encoding/json"
	"maps"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/golden"
)

// Formula is a golden file of networks whose weights are made by formula, metrics_nets.safetensors: with it come a
// .json of the same name, which lists the networks' tensors, and tolerances.
type Formula struct {
	*golden.File
	info struct {
		Seed     uint64
		Gain     map[string]float64
		Networks map[string]struct{ Tensors map[string][]int }
	}
	tolerances map[string]struct {
		Suggested float64 `json:"suggested_abs"`
	}
}

// OpenFormula opens the golden file of a name such as "metrics_nets", or skips the test.
func OpenFormula(t testing.TB, name string) *Formula {
	t.Helper()
	f := &Formula{File: golden.Open(t, name+".safetensors")}
	for path, into := range map[string]any{name + ".json": &f.info, "tolerances-b/" + name + ".json": &f.tolerances} {
		text, err := os.ReadFile(golden.Path(t, path))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return f
}

// Tensors are the names and shapes of a network's tensors, as the reference has them.
func (f *Formula) Tensors(t testing.TB, network string) map[string][]int {
	t.Helper()
	n, ok := f.info.Networks[network]
	if !ok {
		t.Fatalf("the golden set has no network %s", network)
	}
	return n.Tensors
}

// Weights makes a network's tensors by formula.
func (f *Formula) Weights(network string) formula.Weights {
	return formula.Weights{Seed: f.info.Seed, Gain: f.info.Gain[network]}
}

// Bind gives a network's parameters their values until the test ends. They must be the reference's tensors except
// those that ignore names.
func (f *Formula) Bind(t testing.TB, network string, s *op.Scope, ignore func(name string) bool) {
	t.Helper()
	have := map[string][]int{}
	for _, p := range s.Params() {
		shape := p.Shape().Clone()
		if len(shape) == 4 { // [KH,KW,I,O]
			shape[0], shape[1], shape[2], shape[3] = shape[3], shape[2], shape[0], shape[1]
		}
		have[p.Name()] = shape
	}
	want := maps.Clone(f.Tensors(t, network))
	maps.DeleteFunc(want, func(name string, _ []int) bool { return ignore != nil && ignore(name) })
	if diff := cmp.Diff(want, have); diff != "" {
		t.Fatalf("tensors of %s (-want +got):\n%s", network, diff)
	}
	m, err := f.Weights(network).Bind(s.Params())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Compare reports an error unless got is within the tolerance of the tensor network/quantity.
func (f *Formula) Compare(t testing.TB, network, quantity string, got []float32) {
	t.Helper()
	tolerance, ok := f.tolerances[network+" "+quantity]
	if !ok {
		t.Fatalf("the golden set has no tolerance for %s %s", network, quantity)
	}
	golden.Within(t, got, f.Float32(t, network+"/"+quantity).Data, golden.Tolerance{Atol: tolerance.Suggested})
}
