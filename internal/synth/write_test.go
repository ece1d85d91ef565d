package synth_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/synth"
)

func tiny() synth.Config {
	c := synth.Default()
	c.Pairs, c.ValPairs, c.PatientPairs, c.Size, c.Seed = 5, 3, 2, 64, 1<<63+1
	return c
}

func write(t *testing.T, dir string, c synth.Config) {
	t.Helper()
	if err := synth.Write(context.Background(), dir, c, nil); err != nil {
		t.Fatal(err)
	}
}

// contents of all files below a folder, by their paths.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWriteLayout(t *testing.T) {
	dir := t.TempDir()
	c := tiny()
	write(t, dir, c)

	want := []string{"dataset.json"}
	for split, names := range map[string][]string{
		"train": {"P001_1_0", "P001_2_1", "P002_1_2", "P002_2_3", "P003_1_4"},
		"val":   {"P004_1_6", "P004_2_7", "P005_1_8"}, // pair 5 would be of a training patient
	} {
		for _, name := range names {
			want = append(
				want, "TrainValAB/"+split+"A/"+name+".jpg", "TrainValAB/"+split+"B/"+name+".jpg", "truth/"+split+"/"+name+".json",
			)
		}
	}
	slices.Sort(want)
	files := contents(t, dir)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(files))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	// The loader of MIST takes it, and finds the patients apart.
	set, err := data.Open(context.Background(), data.Location{Layout: data.MIST, Root: dir}, data.CorruptError)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Pairs) != 8 || len(data.SharedPatients(set.Pairs)) != 0 {
		t.Errorf("%d pairs, want 8; shared patients %v", len(set.Pairs), data.SharedPatients(set.Pairs))
	}
	for _, p := range set.Pairs {
		var truth synth.Truth
		if err := json.Unmarshal([]byte(files["truth/"+p.Split+"/"+p.Name+".json"]), &truth); err != nil {
			t.Fatal(err)
		}
		if truth.Name != p.Name || truth.Patient != p.Patient || p.Width != c.Size || p.Height != c.Size {
			t.Errorf("pair %+v has the truth of %s, patient %s", p, truth.Name, truth.Patient)
		}
		if diff := cmp.Diff(generate(t, c, truth.Index).Truth, truth); diff != "" {
			t.Errorf("%s: truth in memory and on disk (-memory +disk):\n%s", p.Name, diff)
		}
	}
}

func TestWriteAnyWorkers(t *testing.T) {
	c := tiny()
	var want map[string]string
	for _, workers := range []int{1, 3, 16} {
		c.Workers = workers
		dir := t.TempDir()
		write(t, dir, c)
		got := contents(t, dir)
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d workers make other files", workers)
		}
	}
}

// A run that is stopped leaves whole files only; the next one makes the rest, and nothing twice.
// Shards make the files of one process, each pair once.
func TestWriteShards(t *testing.T) {
	alone, shared := t.TempDir(), t.TempDir()
	write(t, alone, tiny())
	var all sync.WaitGroup
	for k := range 3 {
		c := tiny()
		c.Shard, c.Workers = claim.Part{I: k + 1, N: 3}, 2
		all.Go(func() {
			if err := synth.Write(context.Background(), shared, c, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	folder := filepath.Join(shared, claim.FolderName)
	if s, err := claim.ReadStatus(folder); err != nil || s.Done != 8 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contents(t, alone), contents(t, shared)); diff != "" {
		t.Error(diff)
	}
}

func TestWriteResumes(t *testing.T) {
	c := tiny()
	c.Workers = 2
	whole := t.TempDir()
	write(t, whole, c)
	want := contents(t, whole)

	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stopped")
	err := synth.Write(ctx, dir, c, progress.On(func(s progress.Stage) error {
		if s.Total != 8 {
			t.Errorf("progress of %d pairs, want 8", s.Total)
		}
		if s.Done == 3 {
			cancel(stop)
		}
		return nil
	}))
	if !errors.Is(err, stop) {
		t.Fatalf("error %v, want the context's cause", err)
	}
	before := contents(t, dir)
	for name, text := range before {
		if want[name] != text {
			t.Errorf("after the stop, %s is not what it should become", name)
		}
	}
	if len(before) < 3*3+1 || len(before) == len(want) {
		t.Errorf("after the stop there are %d files of %d", len(before), len(want))
	}

	// A truth without its image is no pair.
	if err := os.Remove(filepath.Join(dir, "TrainValAB", "trainB", "P001_1_0.jpg")); err != nil &&
		!errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	write(t, dir, c)
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Error("the resumed data set is not that of one run")
	}

	// Nothing is written again.
	kept := filepath.Join(dir, "TrainValAB", "trainA", "P001_1_0.jpg")
	if err := os.WriteFile(kept, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	var reports []int
	report := progress.On(func(s progress.Stage) error { reports = append(reports, s.Done); return nil })
	if err := synth.Write(context.Background(), dir, c, report); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(kept); err != nil || string(text) != "kept" {
		t.Errorf("a complete pair was made again: %v", err)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5, 6, 7, 8}, reports); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestWriteRefuses(t *testing.T) {
	c := tiny()
	c.Pairs, c.ValPairs = 1, 0
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, dir string, c *synth.Config)
		want    []string
	}{
		{"nothing to make", func(_ *testing.T, _ string, c *synth.Config) { c.Pairs = 0 }, []string{"pairs and val pairs are both 0"}},
		{"other size", func(t *testing.T, dir string, c *synth.Config) {
			write(t, dir, *c)
			c.Size = 96
		}, []string{"dataset.json", "size is 64, not 96", "choose another folder"}},
		{"other seed and marker", func(t *testing.T, dir string, c *synth.Config) {
			write(t, dir, *c)
			c.Seed++
			c.Marker = synth.PR
		}, []string{"seed is 9223372036854775809, not 9223372036854775810", "marker is er, not pr"}},
		{"folder of others", func(t *testing.T, dir string, _ *synth.Config) {
			if err := os.Mkdir(filepath.Join(dir, "TrainValAB"), 0o777); err != nil {
				t.Fatal(err)
			}
		}, []string{"TrainValAB but no dataset.json"}},
		{"no JSON", func(t *testing.T, dir string, _ *synth.Config) {
			put(t, filepath.Join(dir, "dataset.json"), "{")
		}, []string{"dataset.json", "unexpected EOF"}},
		{"nested JSON", func(t *testing.T, dir string, _ *synth.Config) {
			put(t, filepath.Join(dir, "dataset.json"), `{"size":[64]}`)
		}, []string{"dataset.json", "size is neither a number nor a text"}},
		{"empty JSON", func(t *testing.T, dir string, _ *synth.Config) {
			put(t, filepath.Join(dir, "dataset.json"), `{}`)
		}, []string{"dataset.json", "size is missing"}},
		{"a file in the way", func(t *testing.T, dir string, c *synth.Config) {
			write(t, dir, *c)
			if err := os.RemoveAll(filepath.Join(dir, "truth")); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(dir, "truth"), "")
		}, []string{"truth"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, c := t.TempDir(), c
			test.prepare(t, dir, &c)
			before := contents(t, dir)
			err := synth.Write(context.Background(), dir, c, nil)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q doesn't say %q", err, want)
				}
			}
			if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
				t.Errorf("the folder changed (-before +after):\n%s", diff)
			}
		})
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever dataset.json says, Write refuses it or finds its own settings in it.
func FuzzDatasetJSON(f *testing.F) {
	for _, text := range []string{
		"", "{", "{}", "[1]", "null", `{"size":[64]}`, `{"size":"64","seed":1e400}`, `{"generation":1,"pairs":1}`,
	} {
		f.Add(text)
	}
	c := tiny()
	c.Pairs, c.ValPairs = 1, 0
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "dataset.json"), text)
		err := synth.Write(context.Background(), dir, c, nil)
		if err == nil && !strings.Contains(text, "9223372036854775809") {
			t.Errorf("taken for the folder of seed %d", c.Seed)
		}
		if err != nil && !strings.Contains(err.Error(), "dataset.json") {
			t.Errorf("error %q doesn't name the file", err)
		}
	})
}

// Sets of several markers have the same H&E images, to the byte, and other stains; or, apart, other patients. Without
// them nothing changes, not even dataset.json.
func TestWriteMarkers(t *testing.T) {
	c := synth.Default()
	c.Pairs, c.ValPairs, c.Size, c.PatientPairs = 2, 1, 128, 1
	markers := []synth.Marker{synth.ER, synth.HER2, synth.Ki67, synth.PR}
	dir := t.TempDir()
	if err := synth.WriteMarkers(t.Context(), dir, c, markers, false, nil); err != nil {
		t.Fatal(err)
	}
	alone := t.TempDir()
	c.Marker = synth.PR
	if err := synth.Write(t.Context(), alone, c, nil); err != nil {
		t.Fatal(err)
	}
	read := func(path ...string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(path...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, name := range []string{"dataset.json", "TrainValAB/trainB/P001_1_0.jpg", "truth/val/P003_1_2.json"} {
		if read(dir, "pr", name) != read(alone, name) {
			t.Errorf("%s is not that of a set of PR alone", name)
		}
	}
	stains := map[string]bool{}
	for _, m := range markers {
		if read(dir, string(m), "TrainValAB/trainA/P001_1_0.jpg") != read(dir, "er", "TrainValAB/trainA/P001_1_0.jpg") {
			t.Errorf("%s has another H&E", m)
		}
		ihc := filepath.Join(dir, string(m), "TrainValAB")
		stains[read(ihc, "trainB/P001_1_0.jpg")+read(ihc, "trainB/P002_1_1.jpg")+read(ihc, "valB/P003_1_2.jpg")] = true
	}
	if len(stains) != len(markers) {
		t.Errorf("%d different stains of %d markers", len(stains), len(markers))
	}

	apart := t.TempDir()
	if err := synth.WriteMarkers(t.Context(), apart, c, markers, true, nil); err != nil {
		t.Fatal(err)
	}
	patients := map[string]bool{}
	for _, m := range markers {
		files, err := filepath.Glob(filepath.Join(apart, string(m), "truth", "*", "*.json"))
		if err != nil || len(files) != 3 {
			t.Fatalf("%s: %v, %v", m, files, err)
		}
		for _, f := range files {
			patients[filepath.Base(f)] = true
		}
	}
	if len(patients) != 3*len(markers) {
		t.Errorf("%d patients of %d sets of 3", len(patients), len(markers))
	}
	for name, bad := range map[string][]synth.Marker{"none": nil, "twice": {synth.ER, synth.ER}, "unknown": {"cd8"}} {
		if err := synth.WriteMarkers(t.Context(), t.TempDir(), c, bad, false, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
