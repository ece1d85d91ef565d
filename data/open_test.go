package data_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
)

// put writes an image whose values depend on shade, and returns its path.
func put(t testing.TB, path string, width, height int, shade uint8) string {
	t.Helper()
	img := imagefile.New(width, height)
	for i := range img.Pix {
		img.Pix[i] = shade + uint8(i)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := imagefile.Write(path, img, imagefile.WriteOptions{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return path
}

func putBytes(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, loc data.Location) *data.Dataset {
	t.Helper()
	dataset, err := data.Open(context.Background(), loc, data.CorruptError)
	if err != nil {
		t.Fatal(err)
	}
	return dataset
}

func TestMIST(t *testing.T) {
	root := t.TempDir()
	for i, name := range []string{
		"trainA/1M01_0_1.jpg", "trainB/1M01_0_1.jpg", "trainA/1M01_0_0.jpg", "trainB/1M01_0_0.png", "valA/1M02_3_4.jpg",
		"valB/1M02_3_4.jpg",
	} {
		put(t, filepath.Join(root, "TrainValAB", name), 8, 8, uint8(i))
	}
	putBytes(t, filepath.Join(root, "TrainValAB", "trainA", "Thumbs.db"), "x")
	at := func(name string) data.Source { return data.Source{Path: filepath.Join(root, "TrainValAB", name)} }
	want := []data.Pair{
		{Name: "1M01_0_0", Split: "train", HE: at("trainA/1M01_0_0.jpg"), IHC: at("trainB/1M01_0_0.png"), Patient: "1M01", Width: 8, Height: 8},
		{Name: "1M01_0_1", Split: "train", HE: at("trainA/1M01_0_1.jpg"), IHC: at("trainB/1M01_0_1.jpg"), Patient: "1M01", Width: 8, Height: 8},
		{Name: "1M02_3_4", Split: "val", HE: at("valA/1M02_3_4.jpg"), IHC: at("valB/1M02_3_4.jpg"), Patient: "1M02", Width: 8, Height: 8},
	}
	if diff := cmp.Diff(want, open(t, data.Location{Layout: data.MIST, Root: root}).Pairs); diff != "" {
		t.Errorf("all splits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(
		want[2:], open(t, data.Location{Layout: data.MIST, Root: filepath.Join(root, "TrainValAB"), Split: "val"}).Pairs,
	); diff != "" {
		t.Errorf("val, from the inner folder (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:1], open(t, data.Location{Layout: data.MIST, Root: root, MaxPairs: 1}).Pairs); diff != "" {
		t.Errorf("one pair (-want +got):\n%s", diff)
	}
}

func TestMISTPatients(t *testing.T) {
	for name, want := range map[string]string{
		"1M2102_12_7": "1M2102", "a-3-4": "a", "12_3_45": "12", "slide": "slide", "s1_x_3": "s1_x", "_3": "_3",
	} {
		root := t.TempDir()
		put(t, filepath.Join(root, "trainA", name+".png"), 1, 1, 0)
		put(t, filepath.Join(root, "trainB", name+".png"), 1, 1, 0)
		if got := open(t, data.Location{Layout: data.MIST, Root: root}).Pairs[0].Patient; got != want {
			t.Errorf("%s is of %q, want %q", name, got, want)
		}
	}
}

func TestBCI(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"train/00012_train_3+.png", "train/00013_train_0.png", "test/00001_test_1+.png"} {
		put(t, filepath.Join(root, "HE", name), 4, 4, 0)
		put(t, filepath.Join(root, "IHC", name), 4, 4, 9)
	}
	var got []string
	for _, p := range open(t, data.Location{Layout: data.BCI, Root: root}).Pairs {
		got = append(got, p.Split+" "+p.Name+" "+p.Grade)
	}
	if diff := cmp.Diff(
		[]string{"train 00012_train_3+ 3+", "train 00013_train_0 0", "test 00001_test_1+ 1+"}, got,
	); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCombined(t *testing.T) {
	root := t.TempDir()
	path := put(t, filepath.Join(root, "p7_a.png"), 12, 5, 0)
	want := []data.Pair{{
		Name: "p7_a", HE: data.Source{Path: path, Half: data.Left}, IHC: data.Source{Path: path, Half: data.Right},
		Patient: "p7", Width: 6, Height: 5,
	}}
	if diff := cmp.Diff(
		want, open(t, data.Location{Layout: data.Combined, Root: root, PatientPattern: `^(p\d+)_`}).Pairs,
	); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	put(t, filepath.Join(root, "train", "x.png"), 4, 4, 0)
	if got := open(t, data.Location{Layout: data.Combined, Root: root}).Pairs; len(got) != 1 || got[0].Split != "train" {
		t.Errorf("with a folder train: %+v", got)
	}
}

func TestCSVRoundTrip(t *testing.T) {
	root := t.TempDir()
	for i, name := range []string{"he/1.png", "he/2.png", "ihc/1.png", "ihc/b.png", "ab.png"} {
		put(t, filepath.Join(root, name), 4, 2, uint8(i))
	}
	path := putBytes(
		t,
		filepath.Join(root, "list.csv"),
		"\xEF\xBB\xBFihc,he,patient,split,comment\nihc/1.png,he/1.png,P1,train,\nihc/b.png,he/2.png,P2,val,x\n",
	)
	want := open(t, data.Location{Layout: data.CSV, Root: path}).Pairs
	var got []string
	for _, p := range want {
		got = append(got, strings.Join([]string{p.Split, p.Name, p.Patient, filepath.Base(p.IHC.Path)}, " "))
	}
	if diff := cmp.Diff([]string{"train he/1 P1 1.png", "val he/2 P2 b.png"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := os.Mkdir(filepath.Join(root, "lists"), 0o755); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(root, "lists", "copy.csv")
	halves := data.Source{Path: filepath.Join(root, "ab.png"), Half: data.Left}
	want = append(
		want,
		data.Pair{
			Split:   "val",
			HE:      halves,
			IHC:     data.Source{Path: halves.Path, Half: data.Right},
			Patient: "P3",
			Width:   2,
			Height:  2,
		},
	)
	if err := data.WriteCSV(copied, want); err != nil {
		t.Fatal(err)
	}
	read := open(t, data.Location{Layout: data.CSV, Root: copied}).Pairs
	byPath := map[string]data.Pair{}
	for _, p := range read {
		byPath[p.HE.Path] = p
	}
	for _, p := range want {
		got := byPath[p.HE.Path]
		got.Name, p.Name = "", ""
		if diff := cmp.Diff(p, got); diff != "" {
			t.Errorf("-wrote +read:\n%s", diff)
		}
	}
}

// Everything that is wrong is in one error.
func TestProblems(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	for _, name := range []string{
		"he/good.png", "ihc/good.png", "he/alone.png", "ihc/lonely.png", "he/size.png", "he/cut.png", "ihc/twin.png",
		"ihc/twin.jpg", "he/twin.png",
	} {
		put(t, at(name), 6, 6, 0)
	}
	put(t, at("ihc/size.png"), 6, 7, 0)
	putBytes(t, at("ihc/cut.png"), "\x89PNG\r\n\x1a\n")
	putBytes(t, at("he/empty.png"), "")
	putBytes(t, at("ihc/empty.png"), "")
	_, err := data.Open(
		context.Background(), data.Location{Layout: data.Folders, HE: at("he"), IHC: at("ihc")}, data.CorruptError,
	)
	var problems *data.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v, want *Problems", err)
	}
	if problems.Count() != 7 {
		t.Errorf("%d problems, want 7", problems.Count())
	}
	for _, want := range []string{
		"7 problems",
		at("he/alone.png") + " has no partner in " + at("ihc"), at("ihc/lonely.png") + " has no partner in " + at("he"),
		at("ihc/cut.png") + ": png: the file is cut off",
		at("he/empty.png") + ": the file is empty", at("ihc/empty.png") + ": the file is empty",
		at("he/size.png") + " has 6×6 pixels, " + at("ihc/size.png") + " has 6×7",
		at("ihc/twin.jpg") + " and " + at("ihc/twin.png") + " have the same name",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "odd", "a.png"), 5, 5, 0)
	noColumn := putBytes(t, filepath.Join(root, "no.csv"), "he,path\n")
	twice := putBytes(t, filepath.Join(root, "twice.csv"), "he,ihc\na.png,b.png\na.png,c.png\n")
	split := putBytes(t, filepath.Join(root, "split.csv"), "he,ihc,split\na.png,b.png,train\n")
	for _, test := range []struct {
		name string
		loc  data.Location
		want string
	}{
		{"layout", data.Location{Layout: "zip"}, `layout: "zip" is unknown`},
		{"no folder", data.Location{Layout: data.MIST, Root: root}, filepath.Join(root, "trainA")},
		{"no split", data.Location{Layout: data.BCI, Root: root, Split: "val"}, `split "val"`},
		{"empty", data.Location{Layout: data.Folders, HE: root, IHC: root}, "ihc: " + root + " is to have both"},
		{"unnamed", data.Location{Layout: data.Folders, HE: root}, "ihc: is missing"},
		{"folders have no splits", data.Location{Layout: data.Folders, HE: root, IHC: root, Split: "train"}, "has no splits"},
		{"pattern", data.Location{Layout: data.Folders, HE: root, IHC: root, PatientPattern: "("}, "patient-pattern: "},
		{"half", data.Location{Layout: data.Combined, Root: filepath.Join(root, "odd")}, "5 pixels has no halves"},
		{"columns", data.Location{Layout: data.CSV, Root: noColumn}, "he and ihc are needed"},
		{"twice", data.Location{Layout: data.CSV, Root: twice}, "lines 2 and 3"},
		{"no such split", data.Location{Layout: data.CSV, Root: split, Split: "val"}, `no line of split "val"`},
		{"no split column", data.Location{Layout: data.CSV, Root: twice, Split: "val"}, "no column split"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := data.Open(context.Background(), test.loc, data.CorruptError)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	root := t.TempDir()
	put(t, filepath.Join(root, "a.png"), 4, 4, 0)
	if _, err := data.Open(ctx, data.Location{Layout: data.Combined, Root: root}, data.CorruptError); !errors.Is(
		err, context.Canceled,
	) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("he,ihc,split,patient\na,b,train,P\n")
	f.Add("\xEF\xBB\xBFihc,he\n\"a\nb\",c\n")
	f.Add("sep=;\r\nhe ; ihc;x\r a;b;;\r\n;;;\r\"a;b\n")
	f.Add("he\tihc\n\tb\nhe,ihc|\x00")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "list.csv")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		dataset, err := data.Open(
			context.Background(), data.Location{Layout: data.CSV, Root: path, MaxPairs: 3}, data.CorruptError,
		)
		if err == nil && len(dataset.Pairs) == 0 {
			t.Error("no pairs and no error")
		}
	})
}
