package infer_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/childtest"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/networktest"
)

const (
	shardFolder = "HISTDIST_INFER_TEST_FOLDER"
	shardDeath  = "HISTDIST_INFER_TEST_DEATH"
	shardOf     = 3
)

// TestShardChild is a shard in a process of its own, for TestShardsKilled: it kills itself after a number of events.
func TestShardChild(t *testing.T) {
	dir := os.Getenv(shardFolder)
	if dir == "" {
		t.Skip("started by TestShardsKilled")
	}
	index, death, _ := strings.Cut(os.Getenv(shardDeath), " ")
	shard := infer.Shard{Count: shardOf, DeadAfter: 10 * time.Second} // that another has died is seen, for it ran here
	var events int
	var err error
	if shard.Index, err = strconv.Atoi(index); err != nil {
		t.Fatal(err)
	}
	if events, err = strconv.Atoi(death); err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := newPipeline(t, networktest.Open(t, "auto"))
	jobs := plan(t, filepath.Join(dir, "in"), filepath.Join(dir, "out"))
	s, err := p.TranslateFiles(t.Context(), jobs, infer.FileOptions{
		Settings: quick(), Batch: 1, Shard: shard, Program: "test", Observe: func(event any) error {
			if events--; events == 0 {
				go func() { _ = self.Kill() }() // wherever it is then
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d done, %d elsewhere", s.Done, s.Elsewhere)
}

// Shards that are killed at random and started again translate each image once, to the bytes of one process. Its images
// are translated one by one: the last bits of one that is translated with others depend on how many these are.
func TestShardsKilled(t *testing.T) {
	dir, alone := t.TempDir(), t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	const n = 16
	for i := range n {
		writeImage(t, filepath.Join(in, strconv.Itoa(i%3), strconv.Itoa(i)+".png"), pattern(16+8*(i%2), 16, 3+2*i))
	}
	p := newPipeline(t, networktest.Open(t, "auto"))
	if s, err := p.TranslateFiles(t.Context(), plan(t, in, alone), infer.FileOptions{
		Settings: quick(), Batch: 1, Program: "test",
	}); err != nil || s.Done != n {
		t.Fatalf("%+v, %v", s, err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	var killed atomic.Int64
	const rounds = 3
	for round := range rounds {
		var shards sync.WaitGroup
		for k := range shardOf {
			death := 0
			if round == 0 && k > 0 || round == 1 { // then one does all that is left, and in the end all
				death = 3 + random.IntN(24)
			}
			shards.Go(func() {
				if childtest.Run(t, "TestShardChild", shardFolder+"="+dir,
					shardDeath+"="+strconv.Itoa(k+1)+" "+strconv.Itoa(death)) {
					killed.Add(1)
				}
			})
		}
		shards.Wait()
		if round == 0 { // the work begins anew, with what is there
			if err := os.RemoveAll(filepath.Join(out, "1")); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("killed %d times", killed.Load())
	s, err := claim.ReadStatus(filepath.Join(out, claim.FolderName))
	if err != nil || s.Done != n || s.Items != n {
		t.Errorf("%+v, %v", s, err)
	}
	if err := os.RemoveAll(filepath.Join(out, claim.FolderName)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files(t, alone), files(t, out)); diff != "" {
		t.Errorf("the outputs differ: %.500s", diff)
	}
}

// A shard makes again each file of its jobs that is gone, and its outlook says so.
func TestShardsMakeWhatIsGone(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	out := t.TempDir()
	jobs, err := infer.FindJobs(t.Context(), infer.JobOptions{
		Input: folder(t), Output: out, Ending: ".png", Panel: true, Samples: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	o := infer.FileOptions{Settings: quick(), Panel: true, Samples: 2, Shard: infer.Shard{Index: 1, Count: 1}}
	translate := func(want int) {
		t.Helper()
		s, err := p.TranslateFiles(t.Context(), jobs, o)
		if err != nil || s.Done != want || len(s.Failed) > 0 {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	translate(3)
	for _, name := range []func(string) string{infer.PanelName, infer.DeviationName} {
		gone := name(filepath.Join(out, "a.png"))
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
		if text, err := jobs.Outlook(t.Context(), o.Shard); err != nil || !strings.Contains(text, "done: 2\n") {
			t.Errorf("without %s: outlook %q, %v", gone, text, err)
		}
		translate(1)
		if _, err := os.Stat(gone); err != nil {
			t.Error(err)
		}
	}
}

// An output that one file is can't be shared, and shards of other settings are refused.
func TestShardsThatAreRefused(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	in, out := folder(t), filepath.Join(t.TempDir(), "out")
	o := infer.FileOptions{Settings: quick(), Shard: infer.Shard{Index: 1, Count: 2}}
	one := plan(t, filepath.Join(in, "a.png"), filepath.Join(t.TempDir(), "a.png"))
	if _, err := p.TranslateFiles(t.Context(), one, o); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("one file: %v", err)
	}
	if s, err := p.TranslateFiles(t.Context(), plan(t, in, out), o); err != nil || s.Done != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	o.Settings.Seed, o.Shard.Index = 8, 2
	if _, err := p.TranslateFiles(t.Context(), plan(t, in, out), o); !errors.Is(err, claim.ErrOthers) ||
		!strings.Contains(err.Error(), "seed 0, now 8") {
		t.Errorf("another seed: %v", err)
	}
}
