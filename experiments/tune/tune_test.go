package tune

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/synth"
)

// options are those of a run on synthetic tissue with a tiny model, whose reference takes 4 + 4 steps.
func options(t *testing.T, tissue, output string) Options {
	p, err := infer.Open(golden.Path(t, "tiny"), model.Options{Phikon: golden.Path(t, "tiny-phikon")},
		infer.Options{Device: networktest.Open(t, "auto")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	four, two := schedule.Paper(), schedule.Paper()
	four.StepsInversion, four.StepsTranslation = 4, 4
	two.StepsInversion, two.StepsTranslation = 2, 2
	other := four
	other.EtaTranslation = schedule.EtaZero()
	o := Options{
		Pipeline: p, HE: filepath.Join(tissue, "TrainValAB", "valA"), Real: filepath.Join(tissue, "TrainValAB", "valB"),
		Output: output, Images: 4, PatientPattern: evaluate.SlidePattern, Evaluation: evaluate.DefaultSettings(),
		Files: infer.FileOptions{Settings: infer.DefaultSettings(), Program: "histdist test"},
		rungs: []rung{
			{familyPaper, reference, four, 0}, {"", second, four, 1}, {familySA, "another η", other, 0}, {familyPaper, "few", two, 0},
		},
	}
	o.Evaluation.Resamples = 100
	return o
}

func write(t *testing.T) (tissue string) {
	tissue = filepath.Join(t.TempDir(), "tissue")
	c := synth.Default()
	c.Pairs, c.ValPairs, c.PatientPairs, c.Size = 0, 6, 1, 64
	if err := synth.Write(t.Context(), tissue, c, nil); err != nil {
		t.Fatal(err)
	}
	return tissue
}

// A run that is stopped continues where it was, and finds the same as one that isn't.
func TestRun(t *testing.T) {
	tissue, folder := write(t), t.TempDir()
	o := options(t, tissue, folder)
	ctx, stop := context.WithCancel(t.Context())
	made, skipped := 0, 0
	o.Files.Observe = progress.On(func(e infer.Done) error {
		switch {
		case e.Err == nil:
			made++
		case errors.Is(e.Err, infer.ErrSkipped):
			skipped++
		}
		if made == 6 {
			stop()
		}
		return nil
	})
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped: %v", err)
	}
	before := made
	continued, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if made != 16 || skipped != before {
		t.Errorf("%d images were translated and %d skipped, want 16 and %d", made, skipped, before)
	}
	again, err := Run(t.Context(), o)
	if err != nil || made != 16 {
		t.Errorf("%d images are translated again: %v", made-16, err)
	}
	whole := o
	whole.Output = t.TempDir()
	atOnce, err := Run(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	eta := cmp.Comparer(func(a, b schedule.Eta) bool { return a.String() == b.String() })
	if diff := cmp.Diff(continued, again, eta, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("the report of a repeated run: %s", diff)
	}
	if diff := cmp.Diff(atOnce, again, eta, cmpopts.EquateNaNs(), cmpopts.IgnoreFields(Row{}, "Seconds")); diff != "" {
		t.Errorf("the report of a run that was stopped: %s", diff)
	}
	for _, row := range again.Rows {
		s := row.Sampling
		if !(row.Seconds > 0) || row.Real["ssim"] == 0 || row.Calls != s.StepsInversion+s.StepsTranslation {
			t.Errorf("%+v", row)
		}
	}
	for _, name := range []string{ReportFile, "curves.svg", "curves.png"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	var text strings.Builder
	if err := again.WriteText(&text); err != nil || !strings.Contains(text.String(), "from the true stains") {
		t.Errorf("%v:\n%s", err, &text)
	}
}

// Images are spread over the folder, and those of an earlier choice are gone.
func TestChoose(t *testing.T) {
	he, to := filepath.Join(write(t), "TrainValAB", "valA"), filepath.Join(t.TempDir(), "he")
	for _, test := range []struct{ most, want int }{{3, 3}, {2, 2}, {0, 6}, {100, 6}} {
		n, err := choose(t.Context(), he, to, test.most)
		if err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(to, "*"))
		if err != nil || n != test.want || len(found) != n {
			t.Errorf("%d of 6: %d, %v, %v", test.most, n, found, err)
		}
		if test.most == 2 && !strings.HasPrefix(filepath.Base(found[1]), "P004") {
			t.Errorf("two of six: %v", found)
		}
	}
	if _, err := choose(t.Context(), t.TempDir(), to, 1); err == nil {
		t.Error("an empty folder is enough")
	}
}

// Stains as far as another seed's are good enough; those that are clearly farther, shifted or blurred are not. The
// cheapest wins.
func TestRecommend(t *testing.T) {
	table := func(ssim ...float64) *evaluate.Table {
		list := &evaluate.Table{Columns: []evaluate.Column{{ID: "ssim", Values: ssim}}}
		for _, level := range levels {
			list.Columns = append(list.Columns,
				evaluate.Column{ID: "real_" + level.id, Values: slices.Repeat([]float64{100}, 6)},
				evaluate.Column{ID: "virtual_" + level.id, Values: []float64{104, 106, 105, 105, 106, 104}})
		}
		for i := range ssim {
			list.Rows = append(list.Rows, evaluate.Row{Match: evaluate.Match{Name: string(rune('a' + i))}, RealHash: "same"})
		}
		return list
	}
	s := evaluate.DefaultSettings()
	u := &tuning{Options: Options{Evaluation: s}, second: table(0.8, 0.7, 0.9, 0.8, 0.7, 0.9)}
	shifted := func(by float64) *evaluate.Table {
		list := table(0.8, 0.7, 0.9, 0.8, 0.7, 0.9)
		for i := range list.Values("virtual_nuclei") {
			list.Values("virtual_nuclei")[i] += by
		}
		return list
	}
	const nuclei = "Nuclei: absolute difference from the paper's"
	sharp := Measures{"sharpness_ratio": 1.03, "fine_power_ratio": 0.98}
	report := &Report{Rows: []Row{{Name: reference, Calls: 200}, {Name: second, Calls: 200}}}
	for _, test := range []struct {
		name  string
		calls int
		table *evaluate.Table
		Measures
		want []string
	}{
		{"near", 40, table(0.9, 0.8, 0.95, 0.9, 0.8, 0.95), sharp, nil},
		{"equal", 20, table(0.8, 0.7, 0.9, 0.8, 0.7, 0.9), sharp, nil},
		{"here and there", 30, table(0.9, 0.5, 0.99, 0.7, 0.8, 0.9), sharp, nil},
		{"far", 10, table(0.7, 0.6, 0.8, 0.7, 0.6, 0.8), sharp, []string{"SSIM"}},
		{"more nuclei", 6, shifted(3), sharp, []string{nuclei, "Nuclei: number"}},
		{"fewer", 6, shifted(-20), sharp, []string{nuclei, "Nuclei: number"}},
		{"fewer, but not by more than another seed has more", 25, shifted(-9), sharp, nil},
		{"blurred", 4, table(0.9, 0.8, 0.95, 0.9, 0.8, 0.95), Measures{"sharpness_ratio": 0.7, "fine_power_ratio": 1}, []string{"Sharpness, ratio"}},
	} {
		row := Row{Name: test.name, Calls: test.calls, Paper: test.Measures}
		if err := u.compare(test.table, &row); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(row.Farther, test.want) {
			t.Errorf("%s: farther in %q, want %q", test.name, row.Farther, test.want)
		}
		report.Rows = append(report.Rows, row)
	}
	if report.recommend(); report.Recommended != "equal" || report.Best().Calls != 20 {
		t.Errorf("recommended: %q", report.Recommended)
	}
	report.Rows = report.Rows[:2]
	if report.recommend(); report.Best() != nil {
		t.Errorf("recommended: %q", report.Recommended)
	}
}

// Every rung of the ladder can be run, has a name of its own and fewer calls than the paper's.
func TestLadder(t *testing.T) {
	names := map[string]bool{}
	for _, r := range ladder() {
		if err := r.Validate(); err != nil || names[r.name] || r.Calls() > 200 {
			t.Errorf("%s: %d calls, %v", r.name, r.Calls(), err)
		}
		names[r.name] = true
	}
}
