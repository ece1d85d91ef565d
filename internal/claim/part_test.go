package claim_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/internal/claim"
)

func TestPart(t *testing.T) {
	for text, want := range map[string]claim.Part{"": {}, "1/1": {1, 1}, "3/8": {3, 8}, "8/8": {8, 8}} {
		var p claim.Part
		if err := p.UnmarshalText([]byte(text)); err != nil || p != want || p.String() != text {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
	for text, want := range map[string]string{
		"9/8": "want 1/8 to 8/8", "0/8": "want 1/8 to 8/8", "1/0": "want 1/1", "3": "want I/N", "a/b": "want I/N",
		"-1/4": "want 1/4 to 4/4", "1/2/3": "want I/N",
	} {
		var p claim.Part
		if err := p.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// What Slurm (sbatch's manual page, OUTPUT ENVIRONMENT VARIABLES) and Kubernetes (Job, completionMode) say of a task.
func TestAuto(t *testing.T) {
	slurm := func(id, count, first, step string) map[string]string {
		return map[string]string{
			"SLURM_ARRAY_TASK_ID": id, "SLURM_ARRAY_TASK_COUNT": count, "SLURM_ARRAY_TASK_MIN": first,
			"SLURM_ARRAY_TASK_STEP": step,
		}
	}
	for name, test := range map[string]struct {
		variables map[string]string
		want      claim.Part
		wrong     string
	}{
		"--array=0-7":           {slurm("0", "8", "0", "1"), claim.Part{I: 1, N: 8}, ""},
		"--array=0-7, the last": {slurm("7", "8", "0", "1"), claim.Part{I: 8, N: 8}, ""},
		"--array=1-8":           {slurm("3", "8", "1", "1"), claim.Part{I: 3, N: 8}, ""},
		"--array=10-30:10":      {slurm("30", "3", "10", "10"), claim.Part{I: 3, N: 3}, ""},
		"--array=1,3,7":         {slurm("7", "3", "1", "1"), claim.Part{I: 1, N: 3}, ""}, // shares its part with task 1
		"Slurm without a count": {map[string]string{"SLURM_ARRAY_TASK_ID": "1"}, claim.Part{}, "SLURM_ARRAY_TASK_COUNT"},
		"Kubernetes": {
			map[string]string{"JOB_COMPLETION_INDEX": "4", "JOB_COMPLETIONS": "5"}, claim.Part{I: 5, N: 5}, "",
		},
		"Kubernetes without completions": {
			map[string]string{"JOB_COMPLETION_INDEX": "4"}, claim.Part{}, "JOB_COMPLETIONS is not set",
		},
		"Kubernetes, too few": {
			map[string]string{"JOB_COMPLETION_INDEX": "5", "JOB_COMPLETIONS": "5"}, claim.Part{}, "JOB_COMPLETIONS 5",
		},
		"no number": {map[string]string{"JOB_COMPLETION_INDEX": "x", "JOB_COMPLETIONS": "5"}, claim.Part{}, `"x"`},
		"neither":   {nil, claim.Part{}, "want I/N"},
	} {
		p, err := claim.FromEnvironment(func(name string) (string, bool) {
			value, ok := test.variables[name]
			return value, ok
		})
		if p != test.want || (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// Each item is of one part, in whatever order the items are listed; parts differ by no more work than the largest item;
// and each process would do all items.
func TestPartsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var items []claim.Item
		var largest int64 = 1
		for i, work := range rapid.SliceOfN(rapid.Int64Range(0, 1000), 0, 50).Draw(t, "work") {
			items = append(items, claim.Item{Name: fmt.Sprint(i), Work: work})
			largest = max(largest, work)
		}
		n := rapid.IntRange(1, 9).Draw(t, "parts")
		shuffled := rapid.Permutation(items).Draw(t, "shuffled")
		owner, least, most := map[string]int{}, int64(1<<62), int64(0)
		for k := 1; k <= n; k++ {
			var work int64
			order, own := claim.Part{I: k, N: n}.Order(items)
			for _, i := range order[:own] {
				if owner[items[i].Name] != 0 {
					t.Fatalf("%s has two owners", items[i].Name)
				}
				owner[items[i].Name] = k
				work += max(items[i].Work, 1)
			}
			least, most = min(least, work), max(most, work)
			slices.Sort(order)
			if len(order) != len(items) || len(slices.Compact(order)) != len(items) {
				t.Fatalf("part %d does %d of %d items", k, len(order), len(items))
			}
			order, own = claim.Part{I: k, N: n}.Order(shuffled)
			for _, i := range order[:own] {
				if n > 1 && owner[shuffled[i].Name] != k {
					t.Fatalf("%s is of another part in another order", shuffled[i].Name)
				}
			}
		}
		if len(owner) != len(items) || most-least > largest {
			t.Fatalf("%d of %d items have owners; work %d to %d, largest item %d", len(owner), len(items), least, most, largest)
		}
	})
}

// A part's outlook is what its process would be given, without what is finished, and reading it writes nothing.
func TestOutlook(t *testing.T) {
	folder := t.TempDir()
	items := []claim.Item{{Name: "a", Work: 5}, {Name: "b", Work: 3}, {Name: "c", Work: 2}, {Name: "d", Work: 2}}
	part := claim.Part{I: 2, N: 2} // the first has a and d, which are 7 of 12
	want := claim.Outlook{Part: part, Items: 4, Own: 2, Share: 5.0 / 12, First: []string{"b", "c"}}
	got, err := claim.Look(items, part, filepath.Join(folder, "absent"))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	q, err := claim.Open(items, claim.Options{Folder: folder, Part: part})
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := q.Next(nil)
	if err != nil || c.Index != 1 {
		t.Fatalf("%+v, %v: want b, as the outlook says", c, err)
	}
	if err := errors.Join(c.Finish(nil), q.Close()); err != nil {
		t.Fatal(err)
	}
	want.Done, want.First = 1, []string{"c"}
	got, err = claim.Look(items, part, folder)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	if text := got.Text("images", "pixels", 1); text != "shard 2/2: 2 of 4 images, 41.7 % of the pixels; done: 1\n"+
		"begins with: c\nthen what is left of the other shards\n" {
		t.Error(text)
	}
}
