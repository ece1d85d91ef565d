package evaluate_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/progress"
)

// wide is a network of many features and little work.
type wide struct{ grid }

func (w *wide) Extract(_ context.Context, images []*imagefile.Image) ([][]float32, error) {
	rows := make([][]float32, len(images))
	for i, img := range images {
		rows[i] = make([]float32, wideFeatures)
		for k := range rows[i] {
			rows[i][k] = float32(img.Pix[(k*7)%len(img.Pix)]) / 255
		}
	}
	return rows, nil
}

const wideFeatures = 512

// noise writes n pairs of small images that are all different.
func noise(t *testing.T, n, side int) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, set := range []string{"real", "fake", "he"} {
		if err := os.MkdirAll(filepath.Join(folder, set), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	state := uint64(1)
	for i := range n {
		for _, set := range []string{"real", "fake", "he"} {
			img := imagefile.New(side, side)
			for k := range img.Pix {
				state = state*6364136223846793005 + 1442695040888963407
				img.Pix[k] = 128 + uint8(state>>57)
			}
			data, err := imagefile.Encode(img, imagefile.PNG, imagefile.WriteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			// Not by imagefile.Write, which waits for the disk.
			if err := os.WriteFile(filepath.Join(folder, set, "slide"+strconv.Itoa(i%40)+"_"+strconv.Itoa(i)+".png"), data,
				0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return folder
}

// TestMemoryIsFlat measures what is alive on the heap when all of a stage's work is done and nothing else runs, and
// after the run. It may grow by what a row takes (names, paths, hashes, numbers, the places in the cache: some 2 KB),
// not by images or features: a pair's three images take 27 KB here, their features 6 KB for each network. What
// retrieval holds while it compares is not in it.
func TestMemoryIsFlat(t *testing.T) {
	few, many := 10, 90 // pairs, of three images each
	if os.Getenv("HISTDIST_FULL") != "" {
		many = 3400
	}
	if testing.Short() {
		t.Skip("makes 300 images")
	}
	const side, perPair = 55, 4 << 10
	peak := func(n int) int64 {
		folder := noise(t, n, side)
		o := options(t, folder, filepath.Join(folder, "fake"))
		o.Networks = nil
		for _, kind := range []features.Kind{features.FIDInception, features.Phikon} {
			o.Networks = append(o.Networks,
				evaluate.Network{
					Kind: kind,
					Open: func() (evaluate.Extractor, error) { return &wide{grid{name: string(kind)}}, nil },
				})
		}
		before, most := live(), int64(0)
		o.Observe = progress.On(func(s progress.Stage) error {
			if s.Done == s.Total {
				most = max(most, live())
			}
			return nil
		})
		r, table := run(t, o)
		most = max(most, live())
		if r.Failed() {
			t.Fatal(r.Problems)
		}
		runtime.KeepAlive(table)
		return most - before
	}
	a, b := peak(few), peak(many)
	growth := float64(b-a) / float64(many-few)
	t.Logf("%d pairs: %.2f MB, %d pairs: %.2f MB; %.0f bytes a pair", few, float64(a)/1e6, many, float64(b)/1e6, growth)
	if growth > perPair {
		t.Errorf("memory grows by %.0f bytes a pair: want at most %d", growth, perPair)
	}
}

// live is how many bytes are reachable on the heap. What was allocated since, or is garbage, is not in it.
func live() int64 {
	runtime.GC() // twice, for what the first one finalises
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
