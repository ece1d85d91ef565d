package evaluate_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/evaluate/report"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/childtest"
	"github.com/histdist/histdist/internal/claim"
)

const (
	shareFolder = "HISTDIST_EVALUATE_TEST_FOLDER"
	shareOutput = "HISTDIST_EVALUATE_TEST_OUTPUT"
	shareDeath  = "HISTDIST_EVALUATE_TEST_DEATH"
	shareOf     = 3
)

// rounding is a network whose features depend on the batch in their last bits, as those of GPUs do.
type rounding struct{ grid }

func (r *rounding) Extract(ctx context.Context, images []*imagefile.Image) ([][]float32, error) {
	rows, err := r.grid.Extract(ctx, images)
	for _, row := range rows {
		row[0] += 1e-6 * float32(len(images))
	}
	return rows, err
}

// shareOptions evaluate a folder with its sub-folders real, fake and he.
func shareOptions(folder, output string) evaluate.Options {
	s := evaluate.DefaultSettings()
	s.Resamples, s.Flips = 200, 500
	o := evaluate.Options{
		Real: filepath.Join(folder, "real"), Virtual: filepath.Join(folder, "fake"), HE: filepath.Join(folder, "he"),
		Output: output, PatientPattern: evaluate.SlidePattern, Settings: s, Software: "histdist test", Batch: 6, Workers: 2,
	}
	for _, kind := range features.Kinds() {
		o.Networks = append(o.Networks, evaluate.Network{Kind: kind, Open: func() (evaluate.Extractor, error) {
			if kind == features.GigaPath {
				return nil, fmt.Errorf("%w: they come from example.org", features.ErrNoWeights)
			}
			return &rounding{grid{name: string(kind)}}, nil
		}})
	}
	return o
}

// assemble evaluates and writes the report.
func assemble(ctx context.Context, o evaluate.Options) error {
	r, table, err := evaluate.Run(ctx, o)
	if err != nil {
		return err
	}
	return report.Write(ctx, o.Output, r, table)
}

// TestShareChild is a shard in a process of its own, for TestShardsKilled: it kills itself when it has seen a number of
// groups.
func TestShareChild(t *testing.T) {
	folder := os.Getenv(shareFolder)
	if folder == "" {
		t.Skip("started by TestShardsKilled")
	}
	index, death, _ := strings.Cut(os.Getenv(shareDeath), " ")
	part, err := strconv.Atoi(index)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := strconv.Atoi(death)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	o := shareOptions(folder, os.Getenv(shareOutput))
	o.Observe = progress.On(func(s progress.Stage) error {
		if groups--; s.Name == "measuring pairs" && groups == 0 {
			_ = self.Kill()
			select {} // until it is
		}
		return nil
	})
	_, err = evaluate.Share(t.Context(), o, evaluate.Sharing{
		Part: claim.Part{I: part, N: shareOf}, Silence: 10 * time.Second, // that another has died is seen, for it ran here
		Assemble: func(ctx context.Context) error { return assemble(ctx, o) },
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Shards that are killed while they measure, and started again, end with the bytes of one process, also where images
// can't be read, or are in two pairs.
func TestShardsKilled(t *testing.T) {
	folder, names := tissue(t, 15, 64)
	for i, name := range names {
		from := names[i]
		if i == 9 { // two pairs of one stain, in two groups
			from = names[2]
		}
		copyFile(t, filepath.Join(folder, "fake", name+".png"), filepath.Join(folder, "he", from+".png"))
	}
	if err := os.Truncate(filepath.Join(folder, "fake", names[5]+".png"), 900); err != nil {
		t.Fatal(err)
	}
	alone, out := t.TempDir(), t.TempDir()
	if err := assemble(t.Context(), shareOptions(folder, alone)); err != nil {
		t.Fatal(err)
	}
	var killed atomic.Int64
	for round := range 2 {
		var shards sync.WaitGroup
		for k := range shareOf {
			death := 0
			if round == 0 { // the work of all is taken over
				death = 1 + k%2
			}
			shards.Go(func() {
				if childtest.Run(t, "TestShareChild", shareFolder+"="+folder, shareOutput+"="+out,
					shareDeath+"="+strconv.Itoa(k+1)+" "+strconv.Itoa(death)) {
					killed.Add(1)
				}
			})
		}
		shards.Wait()
	}
	if killed.Load() != shareOf {
		t.Errorf("%d of %d processes were killed", killed.Load(), shareOf)
	}
	found, err := claim.Find(out, func(string) string { return "" })
	if err != nil || len(found) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if s := found[0]; s.Items != 9 || s.Done != 8 || len(s.Failed) != 1 || !strings.Contains(s.Failed[0].Error, names[5]) {
		t.Errorf("status %+v, want 8 groups and the report, of which one group failed", s)
	}
	if diff := cmp.Diff(outputs(t, alone), outputs(t, out)); diff != "" {
		t.Errorf("the outputs differ: %.2000s", diff)
	}
}

// created is when results were made, in JSON, and in Markdown and on the page.
var created = regexp.MustCompile(`"created": "[^"]*"|\d{4}-\d\d-\d\d \d\d:\d\d UTC`)

// outputs are the files of an evaluation, without the time when they were made and what only a later run reads.
func outputs(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "cache" || e.Name() == claim.FolderName):
			return filepath.SkipDir
		case e.IsDir():
			return nil
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(folder, path)
		all[name] = created.ReplaceAllString(string(data), "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Errorf("%d files", len(all))
	}
	return all
}

// Shards of other settings or networks are refused, one that comes late has the results, and an evaluation that can't
// be assembled fails for all.
func TestShardsThatAreRefused(t *testing.T) {
	folder, names := tissue(t, 6, 64)
	for _, name := range names {
		copyFile(t, filepath.Join(folder, "fake", name+".png"), filepath.Join(folder, "he", name+".png"))
	}
	o := shareOptions(folder, t.TempDir())
	assembled, broken := 0, errors.New("no space left")
	sharing := evaluate.Sharing{Part: claim.Part{I: 2, N: 2}, Assemble: func(ctx context.Context) error {
		if assembled++; assembled == 1 {
			return broken
		}
		return assemble(ctx, o)
	}}
	if _, err := evaluate.Share(t.Context(), o, sharing); !errors.Is(err, broken) {
		t.Errorf("a report that fails: %v", err)
	}
	sharing.Part.I = 1
	if _, err := evaluate.Share(t.Context(), o, sharing); err != nil && !strings.Contains(err.Error(), broken.Error()) {
		t.Errorf("another shard: %v", err)
	}
	sharing.Part.I = 2
	r, err := evaluate.Share(t.Context(), o, sharing)
	if err != nil || r.Counts.Pairs != len(names) || assembled != 2 {
		t.Fatalf("%d times, %v", assembled, err)
	}
	sharing.Part.I = 1
	late, err := evaluate.Share(t.Context(), o, sharing)
	if err != nil || !late.Created.Equal(r.Created) || assembled != 2 {
		t.Errorf("one that comes late: %v; assembled %d times", err, assembled)
	}
	other := o
	other.Settings.PositiveDAB = 0.2
	if _, err := evaluate.Share(t.Context(), other, sharing); !errors.Is(err, claim.ErrOthers) ||
		!strings.Contains(err.Error(), "positive_dab") {
		t.Errorf("other settings: %v", err)
	}
	other = o
	other.Networks = other.Networks[:1]
	if _, err := evaluate.Share(t.Context(), other, sharing); !errors.Is(err, claim.ErrOthers) {
		t.Errorf("other networks: %v", err)
	}
}
