package data_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
)

func TestCheck(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	for i, name := range []string{
		"trainA/s1_0.png", "trainB/s1_0.png", "valA/s1_1.png", "valB/s1_1.png", "valA/s2_0.png", "valB/s2_0.png",
		"trainA/s3_0.png",
	} {
		put(t, at(name), 6, 6, uint8(10*i))
	}
	put(t, at("trainA/s4_0.png"), 6, 6, 0) // equals s1_0's
	put(t, at("trainB/s4_0.png"), 6, 6, 99)
	corrupted(t, at("valB/s2_0.png"))
	report, err := data.Check(
		context.Background(), data.Location{Layout: data.MIST, Root: root}, data.CorruptError, imagefile.Options{},
	)
	if err != nil {
		t.Fatal(err)
	}
	if report.OK() {
		t.Error("a set with an orphan and a corrupt picture is called right")
	}
	want := []data.SplitReport{
		{Split: "train", Pairs: 2, Patients: 2, Sizes: map[[2]int]int{{6, 6}: 2}, Grades: map[string]int{}},
		{Split: "val", Pairs: 2, Patients: 2, Sizes: map[[2]int]int{{6, 6}: 2}, Grades: map[string]int{}},
	}
	if diff := cmp.Diff(want, report.Splits); diff != "" {
		t.Errorf("splits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(
		[]data.Orphan{{Path: at("trainA/s3_0.png"), Folder: at("trainB")}}, report.Problems.Orphans,
	); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	if len(report.Corrupt) != 1 || report.Corrupt[0].Path != at("valB/s2_0.png") {
		t.Errorf("corrupt: %v", report.Corrupt)
	}
	if diff := cmp.Diff([][]string{{at("trainA/s1_0.png"), at("trainA/s4_0.png")}}, report.Duplicates); diff != "" {
		t.Errorf("duplicates (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(
		[]data.Shared{{Patient: "s1", Pairs: map[string]int{"train": 1, "val": 1}}}, report.Shared,
	); diff != "" {
		t.Errorf("shared (-want +got):\n%s", diff)
	}
	var text strings.Builder
	if err := report.WriteText(&text, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"train: 2 pairs of 2 patients or slides, 2 of 6×6", "has no partner", "corrupt (1)", "s1: 1 in train, 1 in val",
		"equal images (1)",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
}

func TestCheckRight(t *testing.T) {
	report, err := data.Check(context.Background(), folders(t, 3, 5, 4), data.CorruptError, imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || len(report.Duplicates)+len(report.Shared)+len(report.Notes) > 0 {
		t.Errorf("%+v", report)
	}
}

// No patient is in both parts, nothing is lost, and the seed decides.
func TestSplitByPatient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patients := rapid.SliceOfN(rapid.StringN(1, 3, -1), 2, 40).Draw(t, "patients")
		fraction := rapid.Float64Range(0.05, 0.95).Draw(t, "fraction")
		seed := rapid.Int64().Draw(t, "seed")
		var pairs []data.Pair
		distinct := map[string]bool{}
		for i, patient := range patients {
			pairs = append(pairs, data.Pair{Name: string(rune('a' + i)), Patient: patient})
			distinct[patient] = true
		}
		train, val, err := data.SplitByPatient(pairs, fraction, seed)
		if len(distinct) < 2 {
			if err == nil {
				t.Fatal("one patient was divided")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(train)+len(val) != len(pairs) || len(train) == 0 || len(val) == 0 {
			t.Fatalf("%d and %d of %d pairs", len(train), len(val), len(pairs))
		}
		if shared := data.SharedPatients(append(append([]data.Pair{}, train...), val...)); len(shared) > 0 {
			t.Fatalf("shared: %v", shared)
		}
		again, _, err := data.SplitByPatient(pairs, fraction, seed)
		if diff := cmp.Diff(train, again); diff != "" || err != nil {
			t.Fatalf("the same seed divides otherwise: %v\n%s", err, diff)
		}
	})
}

func TestSplitByPatientRefuses(t *testing.T) {
	two := []data.Pair{{Patient: "a"}, {Patient: "b"}}
	for _, test := range []struct {
		name     string
		pairs    []data.Pair
		fraction float64
		want     string
	}{
		{"fraction", two, 1, "less than 1"},
		{"unknown", append([]data.Pair{{HE: data.Source{Path: "x.png"}}}, two...), 0.5, "the patient of x.png is unknown"},
		{"one", two[:1], 0.5, "1 patients"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := data.SplitByPatient(test.pairs, test.fraction, 1); err == nil ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
