package metrics_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/internal/golden"
)

// TestPHVEqualsOfficial compares with PerceptualHashValue of the official evaluation on given feature maps.
func TestPHVEqualsOfficial(t *testing.T) {
	f := golden.Open(t, "metrics.safetensors")
	var want struct{ PHV map[string]map[string]float64 }
	readGoldenJSON(t, "metrics.json", &want)
	if len(want.PHV) == 0 {
		t.Fatal("the golden set has no perceptual hash values")
	}
	for name, thresholds := range want.PHV {
		x, y := channelMeans(f.Float32(t, "phv/"+name+"/x")), channelMeans(f.Float32(t, "phv/"+name+"/y"))
		for threshold, w := range thresholds {
			at, err := strconv.ParseFloat(threshold, 32)
			if err != nil {
				continue // not a threshold
			}
			mean := 0.0
			for i := range x {
				v, err := metrics.PerceptualHashValue(x[i], y[i], []int{len(x[i])}, float32(at))
				if err != nil {
					t.Fatal(err)
				}
				mean += v[0] / float64(len(x))
			}
			if mean != w {
				t.Errorf("%s above %s: %v, want exactly %v", name, threshold, mean, w)
			}
		}
	}
}

// channelMeans are the means over the pixels of x [N,C,H,W], a row for each image.
func channelMeans(x golden.Tensor[float32]) [][]float32 {
	n, c, area := x.Shape[0], x.Shape[1], x.Shape[2]*x.Shape[3]
	out := make([][]float32, n)
	for i := range out {
		out[i] = make([]float32, c)
		for j := range c {
			sum := 0.0
			for _, v := range x.Data[(i*c+j)*area:][:area] {
				sum += float64(v)
			}
			out[i][j] = float32(sum / float64(area))
		}
	}
	return out
}

func TestPHVByLayer(t *testing.T) {
	real, generated := []float32{0, 0, 1, 1, 5}, []float32{0.5, -0.25, 0, 1.25, 5}
	got, err := metrics.PerceptualHashValue(real, generated, []int{2, 3}, 0.25)
	if err != nil {
		t.Fatal(err)
	}
	// The threshold itself is not above the threshold.
	if diff := cmp.Diff([]float64{1.0 / 2, 1.0 / 3}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPHVRefuses(t *testing.T) {
	for want, call := range map[string][3][]float32{
		"PHV: generated: 1 features, want 2": {{1, 2}, {1}, {2}},
		"PHV: layer 2 of 0 channels":         {{1, 2}, {1, 2}, {2, 0}},
	} {
		layers := make([]int, len(call[2]))
		for i, v := range call[2] {
			layers[i] = int(v)
		}
		if _, err := metrics.PerceptualHashValue(call[0], call[1], layers, 1); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
