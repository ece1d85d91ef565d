package metrics_test

import (
	"encoding/json"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/internal/golden"
)

// readGoldenJSON decodes a golden JSON file, or skips the test.
func readGoldenJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(golden.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// rows views a golden tensor [n,d] as n rows.
func rows(x golden.Tensor[float32]) [][]float32 {
	n, d := x.Shape[0], x.Shape[1]
	out := make([][]float32, n)
	for i := range out {
		out[i] = x.Data[i*d : (i+1)*d]
	}
	return out
}

// drawRows draws n rows of d features.
func drawRows(t *rapid.T, n, d int, label string) [][]float32 {
	out := make([][]float32, n)
	for i := range out {
		out[i] = rapid.SliceOfN(rapid.Float32Range(-8, 8), d, d).Draw(t, label)
	}
	return out
}
