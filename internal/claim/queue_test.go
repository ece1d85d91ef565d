package claim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/childtest"
	"github.com/histdist/histdist/internal/claim"
)

// clock is a time that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func named(names ...string) (items []claim.Item) {
	for _, name := range names {
		items = append(items, claim.Item{Name: name, Work: 1})
	}
	return items
}

// opened opens a queue whose process gives no signs of life but with Sign.
func opened(t *testing.T, items []claim.Item, folder string, part claim.Part, c *clock) *claim.Queue {
	t.Helper()
	q, err := claim.OpenAt(items, claim.Options{Folder: folder, Part: part, Silence: 24 * time.Hour}, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// next is what a queue gives out: an item's name, "done " and its name, "wait" or "end".
func next(t *testing.T, q *claim.Queue, items []claim.Item) (string, *claim.Claim) {
	t.Helper()
	c, more, err := q.Next(nil)
	switch {
	case err != nil:
		t.Fatal(err)
	case c == nil && more:
		return "wait", nil
	case c == nil:
		return "end", nil
	case c.Elsewhere:
		return strings.TrimSpace("done " + items[c.Index].Name + " " + c.Failed), c
	}
	return items[c.Index].Name, c
}

func expect(t *testing.T, q *claim.Queue, items []claim.Item, want string) *claim.Claim {
	t.Helper()
	got, c := next(t, q, items)
	if got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	return c
}

func finish(t *testing.T, c *claim.Claim, failed error) {
	t.Helper()
	if err := c.Finish(failed); err != nil {
		t.Fatal(err)
	}
}

func closed(t *testing.T, q *claim.Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// Of many that share a folder, each item is done by one.
func TestEachItemIsDoneOnce(t *testing.T) {
	const processes, n = 6, 60
	folder, counts := t.TempDir(), make([]int, n)
	var items []claim.Item
	for i := range n {
		items = append(items, claim.Item{Name: fmt.Sprintf("folder/%d", i), Work: int64(i % 7)})
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	for k := range processes {
		all.Go(func() {
			part := claim.Part{I: k + 1, N: processes}
			q, err := claim.Open(items, claim.Options{Folder: folder, Part: part, Silence: time.Hour})
			if err != nil {
				t.Error(err)
				return
			}
			for {
				c, more, err := q.Next(nil)
				if err != nil {
					t.Error(err)
				}
				if c == nil { // what is left is with others, which run
					if !more || err != nil {
						break
					}
					continue
				}
				if c.Elsewhere {
					continue
				}
				mu.Lock()
				counts[c.Index]++
				mu.Unlock()
				if err := c.Finish(nil); err != nil {
					t.Error(err)
				}
			}
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i, count := range counts {
		if count != 1 {
			t.Errorf("item %d was done %d times", i, count)
		}
	}
	s, err := claim.ReadStatus(folder)
	if err != nil || s.Done != n || len(s.Running)+len(s.Lost)+len(s.Failed)+len(s.Remaining) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// A process that is silent for long enough by the watcher's clock loses its item, and is fenced off; one that gives
// signs of life keeps it.
func TestSilence(t *testing.T) {
	items, folder, c := named("a"), t.TempDir(), &clock{time.Now()}
	slow := opened(t, items, folder, claim.Part{I: 1, N: 2}, c)
	begun := expect(t, slow, items, "a")
	watcher := opened(t, items, folder, claim.Part{I: 2, N: 2}, c)
	expect(t, watcher, items, "wait")
	c.at = c.at.Add(23 * time.Hour)
	expect(t, watcher, items, "wait")
	if err := slow.Sign(); err != nil {
		t.Fatal(err)
	}
	expect(t, watcher, items, "wait")
	c.at = c.at.Add(23 * time.Hour)
	expect(t, watcher, items, "wait")
	if held, err := begun.Held(); err != nil || !held {
		t.Errorf("held %v, %v", held, err)
	}
	c.at = c.at.Add(2 * time.Hour)
	taken := expect(t, watcher, items, "a")
	if held, err := begun.Held(); err != nil || held {
		t.Errorf("after it was taken over: held %v, %v", held, err)
	}
	begun.Drop()
	expect(t, slow, items, "wait")
	finish(t, taken, nil)
	expect(t, slow, items, "done a")
	expect(t, slow, items, "end")
	closed(t, slow)
	closed(t, watcher)
}

// What a process has not finished when it ends is free at once.
func TestClose(t *testing.T) {
	items, folder, c := named("a", "b"), t.TempDir(), &clock{time.Now()}
	first := opened(t, items, folder, claim.Part{I: 1, N: 1}, c)
	finish(t, expect(t, first, items, "a"), nil)
	expect(t, first, items, "b")
	second := opened(t, items, folder, claim.Part{I: 1, N: 1}, c)
	expect(t, second, items, "done a")
	expect(t, second, items, "wait")
	closed(t, first)
	finish(t, expect(t, second, items, "b"), nil)
	expect(t, second, items, "end")
	closed(t, second)
}

// What processes that were killed had begun to write goes when those that are left end, and not what is being written.
func TestWhatTheDeadHadBegunGoes(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now()}
	items, folder := named("a", "b"), filepath.Join(dir, claim.FolderName)
	for i := range items {
		items[i].Outputs = []string{filepath.Join(dir, items[i].Name)}
	}
	childtest.Abandon(t, items[0].Outputs[0])
	q := opened(t, items, folder, claim.Part{I: 1, N: 1}, c)
	later := childtest.Abandon(t, items[1].Outputs[0])
	runs, err := atomicfile.Create(items[1].Outputs[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(later); err != nil {
		t.Error(err)
	}
	closed(t, q)
	names, err := filepath.Glob(filepath.Join(dir, ".*"))
	want := []string{runs.Name(), folder}
	if diff := cmp.Diff(want, names, cmpopts.SortSlices(strings.Compare)); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if err := runs.Commit(); err != nil {
		t.Error(err)
	}
}

// A claim that a process died while writing, on a file system where it appears before its content, is a dead process's.
func TestATornClaim(t *testing.T) {
	items, folder, c := named("a"), t.TempDir(), &clock{time.Now()}
	q := opened(t, items, folder, claim.Part{I: 1, N: 1}, c)
	if err := os.WriteFile(q.File("a", 1), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	expect(t, q, items, "wait")
	c.at = c.at.Add(25 * time.Hour)
	expect(t, q, items, "a")
	closed(t, q)
}

// What failed in an earlier run is tried again, once, by the process whose part it is; what failed in this run isn't.
// What was finished earlier is done again if its source has changed or its output is gone.
func TestAgain(t *testing.T) {
	folder, outputs, c := t.TempDir(), t.TempDir(), &clock{time.Now()}
	kept, gone := filepath.Join(outputs, "kept"), filepath.Join(outputs, "gone")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	items := []claim.Item{
		{Name: "fails"},
		{Name: "changes", Stamp: "1"},
		{Name: "kept", Outputs: []string{kept}},
		{Name: "gone", Outputs: []string{gone}},
	}
	whole, half := claim.Part{I: 1, N: 1}, claim.Part{I: 2, N: 2}
	first := opened(t, items, folder, whole, c)
	beside := opened(t, items, folder, whole, c)
	for i, item := range items {
		var err error
		if i == 0 {
			err = errors.New("no image")
		}
		finish(t, expect(t, first, items, item.Name), err)
	}
	closed(t, first)
	for _, want := range []string{"done fails no image", "done changes", "done kept", "done gone", "end"} {
		expect(t, beside, items, want)
	}
	closed(t, beside)
	items[1].Stamp = "2"
	other := opened(t, items[:1], folder, half, c) // none of them is its own
	expect(t, other, items, "done fails no image")
	closed(t, other)
	again := opened(t, items, folder, whole, c)
	finish(t, expect(t, again, items, "fails"), errors.New("no image"))
	finish(t, expect(t, again, items, "changes"), nil)
	expect(t, again, items, "done kept")
	finish(t, expect(t, again, items, "gone"), nil)
	expect(t, again, items, "end")
	closed(t, again)
}

// Processes with other settings are refused, with what differs; images that have come since are not.
func TestOtherSettings(t *testing.T) {
	folder := t.TempDir()
	with := func(seed string) claim.Options {
		return claim.Options{Folder: folder, Origin: origin.Origin{
			Program: "histdist 1", Settings: origin.Settings{"seed": json.RawMessage(seed), "prompt": json.RawMessage(`"H&E"`)},
		}}
	}
	q, err := claim.Open(named("a"), with("7"))
	if err != nil {
		t.Fatal(err)
	}
	closed(t, q)
	if _, err := claim.Open(named("a"), with("8")); !errors.Is(err, claim.ErrOthers) ||
		!strings.Contains(err.Error(), "seed 7, now 8") || strings.Contains(err.Error(), "prompt") {
		t.Errorf("another seed: %v", err)
	}
	if q, err = claim.Open(named("a", "b"), with("7")); err != nil {
		t.Fatal(err)
	}
	closed(t, q)
	if s, err := claim.ReadStatus(folder); err != nil || s.Items != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

// The status says of every item what is true.
func TestStatus(t *testing.T) {
	items, folder, c := named("a", "b", "c", "d", "e"), t.TempDir(), &clock{time.Now()}
	read := func() *claim.Status {
		t.Helper()
		s, err := claim.ReadStatus(folder)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := opened(t, items, folder, claim.Part{I: 1, N: 1}, c)
	if s := read(); s.Done != 0 || len(s.Remaining) != 5 || s.Left != nil ||
		!strings.Contains(s.Text(2), "remaining: 3 more") {
		t.Errorf("before the beginning: %s", s.Text(2))
	}
	finish(t, expect(t, first, items, "a"), nil)
	finish(t, expect(t, first, items, "b"), errors.New("no image"))
	running := expect(t, first, items, "c")
	first.Doing(running.Index, 3, 4)
	if err := first.Sign(); err != nil {
		t.Fatal(err)
	}
	s := read()
	if len(s.Running) != 1 || s.Running[0].Item != "c" || s.Running[0].Done != 3 || s.Running[0].Total != 4 ||
		s.Running[0].Part != (claim.Part{I: 1, N: 1}) || s.Done != 1 || s.Share != 2.75/5 {
		t.Errorf("%+v", s)
	}
	if diff := cmp.Diff([]string{"d", "e"}, s.Remaining); diff != "" {
		t.Error(diff)
	}
	if len(s.Failed) != 1 || s.Failed[0].Item != "b" || s.Failed[0].Error != "no image" {
		t.Errorf("failed: %+v", s.Failed)
	}
	for _, want := range []string{
		"done: 1 of 5 (55 % of the work), running: 1, failed: 1, remaining: 2", "running: c, 75 %, process ", "shard 1/1",
		"failed: b: no image", "remaining: d\n",
	} {
		if !strings.Contains(s.Text(0), want) {
			t.Errorf("want %q:\n%s", want, s.Text(0))
		}
	}
	closed(t, first)
	if s := read(); len(s.Running) != 0 || len(s.Lost) != 1 || s.Lost[0].Item != "c" {
		t.Errorf("after the end of the process: %+v", s)
	}
	second := opened(t, items, folder, claim.Part{I: 1, N: 1}, c)
	second.Doing(2, 1, 2) // it helps with what the first had begun
	if err := second.Sign(); err != nil {
		t.Fatal(err)
	}
	if s := read(); len(s.Running) != 1 || s.Running[0].Item != "c" || len(s.Lost) != 0 {
		t.Errorf("while another helps: %+v", s)
	}
	for {
		got, taken := next(t, second, items)
		if got == "end" {
			break
		}
		if taken != nil && !taken.Elsewhere {
			finish(t, taken, nil)
		}
	}
	closed(t, second)
	if s := read(); s.Done != 5 || s.Share != 1 || s.Left == nil || *s.Left != 0 ||
		!strings.Contains(s.Text(0), "; finished") {
		t.Errorf("at the end: %s", s.Text(0))
	}
}

// An output's status is found by its name: a folder, a slide in progress, one that is there.
func TestFind(t *testing.T) {
	folder := t.TempDir()
	parts := func(output string) string { return output + ".parts" }
	slide := filepath.Join(folder, "b.ome.tiff")
	if _, err := claim.Find(slide, parts); err == nil || !strings.Contains(err.Error(), "--shard") {
		t.Errorf("nothing: %v", err)
	}
	c := &clock{time.Now()}
	items, regions := named("a.ome.tiff", "b.ome.tiff"), named("r000c000.latents")
	q := opened(t, items, filepath.Join(folder, claim.FolderName), claim.Part{I: 1, N: 1}, c)
	expect(t, q, items, "a.ome.tiff")
	expect(t, q, items, "b.ome.tiff")
	inner := opened(t, regions, filepath.Join(parts(slide), claim.FolderName), claim.Part{I: 1, N: 1}, c)
	var outputs []string
	found, err := claim.Find(folder, parts)
	for _, s := range found {
		outputs = append(outputs, s.Output)
	}
	if diff := cmp.Diff([]string{folder, slide}, outputs); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if found, err = claim.Find(slide, parts); err != nil || len(found) != 1 || found[0].Items != 1 {
		t.Errorf("a slide: %v, %v", found, err)
	}
	closed(t, inner)
	closed(t, q)
	if err := os.WriteFile(slide, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if found, err = claim.Find(slide, parts); err != nil || len(found) != 1 || found[0].Done != 1 {
		t.Errorf("a slide that is there: %v, %v", found, err)
	}
}
