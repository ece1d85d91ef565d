package mosaic_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/claim"
)

// A folder of slides is translated to the same bytes by one process and by several, which leave nothing else than it
// does; what is current is skipped, and a slide that can't be read doesn't end the others.
func TestTranslateFiles(t *testing.T) {
	in, alone, shared := t.TempDir(), t.TempDir(), t.TempDir()
	for i := range 3 {
		writeSlide(t, filepath.Join(in, strconv.Itoa(i)+".ome.tiff"), pattern(108+16*i, 92), 0.25)
	}
	for name, text := range map[string]string{"bad.svs": "no slide", "0-thumbnail.png": "no input"} {
		if err := os.WriteFile(filepath.Join(in, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	translate := func(out string, shard infer.Shard) (infer.Summary, error) {
		jobs, err := infer.FindJobs(t.Context(), infer.JobOptions{Input: in, Output: out, Ending: ".ome.tiff", Slides: true})
		if err != nil {
			return infer.Summary{}, err
		}
		o := fileOptions(t)
		o.Shard = shard
		return mosaic.TranslateFiles(t.Context(), newPipeline(t), jobs, "", o)
	}
	s, err := translate(alone, infer.Shard{})
	if err != nil || s.Done != 3 || len(s.Failed) != 1 || !strings.HasSuffix(s.Failed[0].Input, "bad.svs") {
		t.Fatalf("%+v, %v", s, err)
	}
	if s, err = translate(alone, infer.Shard{}); err != nil || s.Skipped != 3 {
		t.Errorf("again: %+v, %v", s, err)
	}
	const shards = 3
	var all sync.WaitGroup
	var each [shards]infer.Summary
	for k := range shards {
		all.Go(func() {
			var err error
			shard := infer.Shard{Index: k + 1, Count: shards, DeadAfter: 10 * time.Second}
			if each[k], err = translate(shared, shard); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	done, failed := 0, 0
	for _, s := range each {
		done, failed = done+s.Done+s.Skipped, failed+len(s.Failed)
	}
	if done != 3 || failed != 1 {
		t.Errorf("%d done, %d failed: %+v", done, failed, each)
	}
	status, err := claim.ReadStatus(filepath.Join(shared, claim.FolderName))
	if err != nil || status.Done != 3 || len(status.Failed) != 1 {
		t.Errorf("%+v, %v", status, err)
	}
	if err := os.RemoveAll(filepath.Join(shared, claim.FolderName)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(snapshot(t, alone), snapshot(t, shared)); diff != "" {
		t.Errorf("the outputs differ: %.500s", diff)
	}
}

// An observer's error ends the run; it is no failure of the slide.
func TestObserverEndsTheRun(t *testing.T) {
	o := fileOptions(t)
	full := errors.New("the terminal is gone")
	o.Observe = progress.On(func(mosaic.Progress) error { return full })
	jobs := &infer.Jobs{List: []infer.Job{{Input: o.Input, Output: o.Output}}, Folder: filepath.Dir(o.Output)}
	for _, shard := range []infer.Shard{{}, {Index: 1, Count: 2}} {
		o.Shard = shard
		s, err := mosaic.TranslateFiles(t.Context(), newPipeline(t), jobs, "", o)
		if !errors.Is(err, full) || len(s.Failed) > 0 || s.Done > 0 {
			t.Errorf("%+v: %+v, %v", shard, s, err)
		}
	}
}
