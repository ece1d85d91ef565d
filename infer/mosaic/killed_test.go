package mosaic_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/childtest"
	"github.com/histdist/histdist/internal/networktest"
)

const (
	childFolder = "HISTDIST_MOSAIC_TEST_FOLDER"
	childDeath  = "HISTDIST_MOSAIC_TEST_DEATH"
	childShard  = "HISTDIST_MOSAIC_TEST_SHARD" // of childShards; 0 for none
	childShards = 3
)

// killable translates the slide he.ome.tiff in a folder with the demonstration's model: four windows a region, the
// statistics of a first pass.
func killable(t *testing.T, folder string, shard infer.Shard, observe progress.Observer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model")
	if err := demo.Extract(path); err != nil {
		t.Fatal(err)
	}
	p, err := infer.Open(path, model.Options{}, infer.Options{Device: networktest.Open(t, "auto")})
	if err != nil {
		t.Fatal(err)
	}
	o := mosaic.FileOptions{
		Input: filepath.Join(folder, "he.ome.tiff"), Output: filepath.Join(folder, "er.ome.tiff"),
		Sampling: infer.DefaultSettings(), Settings: mosaic.DefaultSettings(), File: mosaic.DefaultFileSettings(),
		Quality: 90, Program: "test", Shard: shard, Observe: observe,
	}
	o.Sampling.StepsInversion, o.Sampling.StepsTranslation = 1, 2
	o.Settings.Window, o.Settings.Region, o.File.Tissue = 64, 112, "all"
	o.Match = newMatch(t)
	_, err = mosaic.TranslateFile(t.Context(), p, o)
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestChild is a run in a process of its own, for those that are killed: it kills itself after a number of events.
func TestChild(t *testing.T) {
	folder := os.Getenv(childFolder)
	if folder == "" {
		t.Skip("started by TestKilled and TestShardsKilled")
	}
	death, errDeath := strconv.Atoi(os.Getenv(childDeath))
	index, errShard := strconv.Atoi(os.Getenv(childShard))
	if err := errors.Join(errDeath, errShard); err != nil {
		t.Fatal(err)
	}
	shard := infer.Shard{}
	if index > 0 { // that another has died is seen, for it ran here
		shard = infer.Shard{Index: index, Count: childShards, DeadAfter: 10 * time.Second}
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	killable(t, folder, shard, progress.On(func(mosaic.Progress) error {
		if events++; events == death {
			go func() { _ = self.Kill() }() // wherever the run is then
		}
		return nil
	}))
}

// A run whose process is killed at any moment, again and again, goes on and ends with the same bytes, and leaves the
// same files, as one that is not.
func TestKilled(t *testing.T) {
	he := pattern(208, 160)
	whole, broken := t.TempDir(), t.TempDir()
	for _, folder := range []string{whole, broken} {
		writeSlide(t, filepath.Join(folder, "he.ome.tiff"), he, 0.47)
	}
	events, calls := 0, int64(0)
	killable(t, whole, infer.Shard{}, progress.On(func(e mosaic.Progress) error {
		events, calls = events+1, e.Plan.Calls
		if e.Plan.Regions < 4 || e.Plan.Sampled == 0 {
			t.Fatalf("%+v: the test needs more regions", e.Plan)
		}
		return nil
	}))
	run := func(death int) (killed bool) { return child(t, broken, 0, death) }
	const kills = 6
	random, killed := rand.New(rand.NewPCG(3, 4)), 0
	for runs := 0; killed < kills; runs++ {
		if runs > 3*kills {
			t.Fatalf("killed only %d of %d times", killed, runs)
		}
		output := filepath.Join(broken, "er.ome.tiff")
		if run(1 + random.IntN(events*2/3)) {
			killed++
			if _, err := os.Stat(output); err == nil {
				t.Fatal("an output of a run that was killed")
			}
			continue
		}
		sameFiles(t, whole, broken) // little was left to do
		if err := os.Remove(output); err != nil {
			t.Fatal(err)
		}
	}
	childtest.Abandon(t, filepath.Join(broken, "er.ome.tiff"))
	if run(0) {
		t.Fatal("killed without a death")
	}
	t.Logf("killed %d times, %d events, %d calls", killed, events, calls)
	sameFiles(t, whole, broken)
}

// child runs TestChild, and reports whether it was killed.
func child(t *testing.T, folder string, shard, death int) (killed bool) {
	return childtest.Run(t, "TestChild", childFolder+"="+folder, childDeath+"="+strconv.Itoa(death),
		childShard+"="+strconv.Itoa(shard))
}

// Shards that share one slide, are killed at random and started again, end with the files and bytes of one process. One
// that comes when all is done does nothing.
func TestShardsKilled(t *testing.T) {
	he := pattern(208, 160)
	whole, shared := t.TempDir(), t.TempDir()
	for _, folder := range []string{whole, shared} {
		writeSlide(t, filepath.Join(folder, "he.ome.tiff"), he, 0.47)
	}
	events := 0
	killable(t, whole, infer.Shard{}, progress.On(func(mosaic.Progress) error { events++; return nil }))
	random := rand.New(rand.NewPCG(7, 8))
	const rounds = 3
	for round := range rounds {
		childtest.Abandon(t, filepath.Join(shared, "er.ome.tiff"))
		var shards sync.WaitGroup
		var killed atomic.Int64
		for k := range childShards {
			death := 0
			if round < rounds-1 && (round > 0 || k > 0) {
				death = 1 + random.IntN(events/3)
			}
			shards.Go(func() {
				if child(t, shared, k+1, death) {
					killed.Add(1)
				}
			})
		}
		shards.Wait()
		t.Logf("killed %d", killed.Load())
		output := filepath.Join(shared, "er.ome.tiff")
		if _, err := os.Stat(output); err == nil && round < rounds-1 {
			sameFiles(t, whole, shared)
			if err := os.Remove(output); err != nil {
				t.Fatal(err)
			}
		}
	}
	sameFiles(t, whole, shared)
	before := snapshot(t, shared)
	if child(t, shared, 1, 1) {
		t.Error("work was done again")
	}
	if diff := cmp.Diff(before, snapshot(t, shared)); diff != "" {
		t.Error(diff)
	}
}

// sameFiles compares two folders.
func sameFiles(t *testing.T, a, b string) {
	t.Helper()
	entries, err := os.ReadDir(a)
	if err != nil {
		t.Fatal(err)
	}
	others, err := os.ReadDir(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(others) {
		t.Errorf("%d and %d files", len(entries), len(others))
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		one, err := os.ReadFile(filepath.Join(a, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(b, e.Name()))
		if err != nil || !bytes.Equal(one, two) {
			t.Errorf("%s differs: %v", e.Name(), err)
		}
	}
}
