package experiments_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/train"
)

// ownTissue is a copy of the synthetic pairs that a test may change.
func ownTissue(t *testing.T) string {
	t.Helper()
	from, err := tissue()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tissue")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// images lists the files of a side, such as trainA.
func images(t *testing.T, dir, side string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "TrainValAB", side, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	return files
}

// rewrite changes a file's content, but neither its name nor its time.
func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	info, errStat := os.Stat(path)
	content, err := os.ReadFile(path)
	if err := errors.Join(errStat, err); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, change(content), 0o644),
		os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
}

// listOf writes a list of the pairs of trainA and trainB, with a split and a patient for each, and returns its path.
func listOf(t *testing.T, dir, columns string, row func(i int) string) string {
	t.Helper()
	text := "he,ihc" + columns + "\n"
	for i, he := range images(t, dir, "trainA") {
		text += he + "," + images(t, dir, "trainB")[i] + row(i) + "\n"
	}
	path := filepath.Join(dir, fmt.Sprintf("list%d.csv", len(columns)))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A dry run refuses whatever the run refuses, in the same words, and leaves nothing behind.
func TestDryRunRefusesWhatTheRunRefuses(t *testing.T) {
	done := t.TempDir()
	if _, err := open(t, done).Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	dir := ownTissue(t)
	for _, test := range []struct {
		name   string
		set    []string
		output string
		resume train.Resume
		want   error // or nil
	}{
		{
			"a list without splits has no pairs to validate with",
			[]string{
				"data.dir=" + listOf(t, dir, "", func(int) string { return "" }),
				"train.validate-every=2",
			},
			"",
			train.Resume{},
			nil,
		},
		{
			"a split that isn't there",
			[]string{"data.validation-split=test", "train.validate-every=2"},
			"",
			train.Resume{},
			nil,
		},
		{"a folder with checkpoints", nil, done, train.Resume{}, train.ErrExists},
		{"another configuration", []string{"train.lr=5e-3"}, done, train.Resume{Allowed: true}, train.ErrChanged},
		{"other pairs", []string{"data.max-pairs=3"}, done, train.Resume{Allowed: true}, train.ErrChanged},
		{"nothing to resume", nil, "", train.Resume{Allowed: true, Required: true}, train.ErrNoCheckpoint},
	} {
		t.Run(test.name, func(t *testing.T) {
			output := test.output
			if output == "" {
				output = filepath.Join(t.TempDir(), "runs", "new")
			}
			e := open(t, output, test.set...)
			dry := e.Check(t.Context(), experiments.Launch{Resume: test.resume})
			if _, err := os.Stat(filepath.Dir(output)); test.output == "" && err == nil {
				t.Error("the dry run left a folder")
			}
			_, err := e.Run(t.Context(), experiments.Launch{Resume: test.resume})
			if err == nil || dry == nil || err.Error() != dry.Error() {
				t.Fatalf("the run says %v, the dry run %v", err, dry)
			}
			if test.want != nil && (!errors.Is(err, test.want) || !errors.Is(dry, test.want)) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

// A resumed run compares the images' content: a moved copy is the same, a replaced image is reported, by its part and
// name.
func TestReplacedImagesAreReportedOnResume(t *testing.T) {
	dir, output := ownTissue(t), t.TempDir()
	set := []string{"data.dir=" + dir, "train.steps=2"}
	if _, err := open(t, output, set...).Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.CopyFS(moved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	for _, path := range images(t, moved, "trainA") {
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
	}
	set[0] = "data.dir=" + moved
	resume := experiments.Launch{Resume: train.Resume{Allowed: true}}
	if _, err := open(t, output, set...).Run(t.Context(), resume); err != nil {
		t.Fatalf("a copy with other times: %v", err)
	}

	for _, path := range []string{
		images(t, moved, "trainB")[1], images(t, moved, "trainB")[2],
		images(t, moved, "valA")[0],
	} {
		rewrite(t, path, func(b []byte) []byte { b[len(b)-20] ^= 1; return b })
	}
	want := []string{
		"IHC images for training: of 6 now, 2 replaced under their names, such as " +
			filepath.Base(images(t, moved, "trainB")[1]),
		"H&E images for validation: of 2 now, 1 replaced under their names, such as " +
			filepath.Base(images(t, moved, "valA")[0]),
	}
	_, err := open(t, output, set...).Run(t.Context(), resume)
	if !errors.Is(err, train.ErrChanged) || !strings.HasSuffix(err.Error(), strings.Join(want, "\n  ")) {
		t.Fatalf("error %v, want one with\n%s", err, strings.Join(want, "\n"))
	}

	var accepted []string
	resume.Resume.AcceptChanges = true
	resume.Observe = progress.On(func(s train.Start) error { accepted = s.Accepted; return nil })
	if _, err := open(t, output, set...).Run(t.Context(), resume); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, accepted); diff != "" {
		t.Errorf("accepted (-want +got):\n%s", diff)
	}
}

// data.corrupt: skip holds for files that are broken in the header, empty or cut, when the run begins, while it trains
// and in its validation; the pairs are counted once, however many epochs there are.
func TestUnreadableImagesAreSkippedAndCountedOnce(t *testing.T) {
	dir := ownTissue(t)
	he, ihc, val := images(t, dir, "trainA"), images(t, dir, "trainB"), images(t, dir, "valA")
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:min(n, len(b))] } }
	rewrite(t, he[0], cut(0))
	rewrite(t, ihc[0], func([]byte) []byte { return []byte("no image at all") })
	rewrite(t, ihc[1], cut(300))
	rewrite(t, ihc[2], func(b []byte) []byte { return b[:len(b)*3/4] }) // its header is right
	rewrite(t, val[0], func(b []byte) []byte { return b[:len(b)*3/4] })
	set := []string{
		"data.dir=" + dir, "train.steps=9", "train.validate-every=9", "train.checkpoint-every=0",
		"validation.translations=0",
	}
	for _, objective := range []string{"diffusion", "autoencoder"} {
		c, values := load(t, t.TempDir(), append(set, "train.objective="+objective)...)
		if e, err := experiments.Open(t.Context(), c, values); err == nil {
			t.Fatal(errors.Join(errors.New("opened without skip"), e.Close()))
		}
		e := open(t, t.TempDir(), append(set, "train.objective="+objective, "data.corrupt=skip")...)
		want := "left out: 2 pairs that can't be read, such as " + he[0] + ": the file is empty (data.corrupt is skip)"
		if !slices.Contains(e.Notes, want) {
			t.Errorf("notes %q, want one that is %q", e.Notes, want)
		}
		if _, err := e.Run(t.Context(), experiments.Launch{}); err != nil {
			t.Fatal(err)
		}
		if s := e.Skipped(); s.Pairs != 4 || len(s.Files) != 5 {
			t.Errorf("skipped %+v, want 4 pairs and 5 files", s)
		}
	}
}

// What training and validation share is always told, by the column patient of a list whatever pattern is inherited.
func TestPatientsInBothPartsAreReported(t *testing.T) {
	dir := ownTissue(t)
	split := func(i int) string { return "," + []string{"train", "train", "val", "train", "train", "val"}[i] }
	patients := func(list ...string) func(int) string { return func(i int) string { return split(i) + "," + list[i] } }
	const flatter = ": scores of the validation flatter the model; data.validation-fraction divides by patient"
	none := listOf(t, dir, ",split", split)
	for _, test := range []struct {
		name string
		set  []string
		list func(int) string
		want []string
	}{
		{
			"shared", nil, patients("a", "b", "a", "c", "c", "d"),
			[]string{"patients or slides (1, such as a) are in both training and validation" + flatter},
		},
		{
			"shared, with a pattern",
			[]string{`data.patient-pattern=P\d+_\d+_\d+`},
			patients("a", "b", "a", "c", "c", "d"),
			[]string{"patients or slides (1, such as a) are in both training and validation" + flatter},
		},
		{
			"none", nil, patients("a", "a", "b", "c", "c", "d"),
			[]string{"no known patient or slide is in both training (2) and validation (2)"},
		},
		{"empty cells", []string{"data.patient-pattern=P"}, patients("a", "", "a", "", "c", "d"), []string{
			"patients or slides (1, such as a) are in both training and validation" + flatter,
			"the patients of 2 of 6 pairs are unknown, so training and validation may share them: " +
				"data.patient-pattern finds them in names, the column patient of a list names them",
		}},
		{"no column", []string{"data.dir=" + none}, nil, []string{
			"the patients of 6 of 6 pairs are unknown, so training and validation may share them: " +
				"data.patient-pattern finds them in names, the column patient of a list names them",
		}},
		{
			"the same pairs",
			[]string{"data.dir=" + none, `data.patient-pattern=P\d+_\d+_\d+`, "data.validation-split=train"},
			nil,
			[]string{
				"2 of 6 pairs are in neither part",
				"4 pairs of the validation are in the training too: scores of the validation flatter the model",
				"patients or slides (4, such as ",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := test.set
			if test.list != nil {
				set = append([]string{"data.dir=" + listOf(t, dir, ",split,patient", test.list)}, set...)
			}
			notes := slices.DeleteFunc(open(t, t.TempDir(), set...).Notes,
				func(n string) bool { return strings.HasPrefix(n, "the column patient") })
			ok := len(notes) == len(test.want)
			for i := range min(len(notes), len(test.want)) {
				ok = ok && strings.HasPrefix(notes[i], test.want[i])
			}
			if !ok {
				t.Errorf("-want +got:\n%s", cmp.Diff(test.want, notes))
			}
		})
	}
}

// Errors name the key that they are about, and where its value comes from.
func TestErrorsOfPairsNameTheKey(t *testing.T) {
	dir := ownTissue(t)
	a, b := filepath.Join(dir, "TrainValAB", "trainA"), filepath.Join(dir, "TrainValAB", "trainB")
	for _, test := range []struct {
		set  []string
		want string
	}{
		{
			[]string{"data.layout=folders", "data.he=/nowhere", "data.ihc=" + b},
			"--set: data.he: /nowhere: no such file or directory",
		},
		{
			[]string{"data.layout=folders", "data.he=" + a, "data.ihc=/nowhere"},
			"--set: data.ihc: /nowhere: no such file or directory",
		},
		{[]string{"data.dir=/nowhere"}, "--set: data.dir: there is no folder /nowhere"},
		{[]string{"data.patient-pattern=("}, "--set: data.patient-pattern: "},
		{
			[]string{"data.suffixes=_HE"},
			`--set: data.suffixes: "_HE": want two, that of the H&E images first, such as _HE,_ER`,
		},
		{[]string{"data.crop=128"}, "--set: data.crop: 128: 6 of 6 pairs are smaller: 6 of 64×64; the first is "},
		{[]string{"data.memory-mib=1", "data.workers=40"}, "--set: data.memory-mib: "},
	} {
		c, values := load(t, t.TempDir(), test.set...)
		e, err := experiments.Open(t.Context(), c, values)
		if err == nil {
			err = errors.Join(errors.New("no error"), e.Close())
		}
		if !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %s…", test.set, err, test.want)
		}
	}
}

// Pairs that are shifted by more than the limit are left out, and it is said how many.
func TestMaxShift(t *testing.T) {
	dir := ownTissue(t)
	path := images(t, dir, "trainB")[1]
	m, err := imagefile.Read(path, imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const shift = 14
	for y := range m.Height {
		row := m.Pix[3*y*m.Width:][:3*m.Width]
		copy(row[3*shift:], slices.Clone(row))
	}
	if err := imagefile.Write(path, m, imagefile.WriteOptions{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	all := open(t, t.TempDir(), "data.dir="+dir)
	near := open(t, t.TempDir(), "data.dir="+dir, "data.max-shift=8")
	if n, want := len(near.Pairs.Train), len(all.Pairs.Train)-1; n != want {
		t.Errorf("%d pairs, want %d", n, want)
	}
	if notes := strings.Join(near.Notes, "\n"); !strings.Contains(notes, "left out: 1 of 8 pairs") {
		t.Errorf("notes %s", notes)
	}
	for _, p := range near.Pairs.Train {
		if p.IHC.Path == path {
			t.Error("the shifted pair is there")
		}
	}
}
