package data_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/option"
)

// pairFolders are the pairs a/1.png and b/1.png, a/2.png and b/2.png.
func pairFolders(t testing.TB) string {
	root := t.TempDir()
	for i, name := range []string{"a/1.png", "b/1.png", "a/2.png", "b/2.png"} {
		put(t, filepath.Join(root, name), 4, 4, uint8(i))
	}
	return root
}

func list(pairs []data.Pair) []string {
	var lines []string
	for _, p := range pairs {
		lines = append(
			lines, strings.Join([]string{p.Name, filepath.Base(filepath.Dir(p.IHC.Path)), p.Split, p.Patient}, " "),
		)
	}
	return lines
}

// A list is read however a spreadsheet has written it.
func TestListAsSpreadsheetsWriteIt(t *testing.T) {
	root := pairFolders(t)
	want := []string{"a/1 b train P1", "a/2 b val P2"}
	const plain = "he,ihc,split,patient\na/1.png,b/1.png,train,P1\na/2.png,b/2.png,val,P2\n"
	with := func(old, now string) string { return strings.ReplaceAll(plain, old, now) }
	for name, text := range map[string]string{
		"plain":                 plain,
		"no last line end":      strings.TrimSuffix(plain, "\n"),
		"CR":                    with("\n", "\r"),
		"CRLF":                  with("\n", "\r\n"),
		"byte order mark":       "\xEF\xBB\xBF" + plain,
		"semicolons":            with(",", ";"),
		"tabs":                  with(",", "\t"),
		"bars":                  with(",", "|"),
		"Excel's separator":     "sep=;\r\n" + strings.ReplaceAll(with(",", ";"), "\n", "\r\n"),
		"quotes":                `"he","ihc","split","patient"` + "\r\n" + `"a/1.png","b/1.png","train","P1"` + "\n" + `"a/2.png",b/2.png,"val",P2`,
		"spaces":                with(",", " , "),
		"spaces in front":       "\n he,\tihc , split, patient\n" + strings.SplitN(plain, "\n", 2)[1],
		"spaces before quotes":  `he, "ihc", split, patient` + "\na/1.png, \"b/1.png\", train, P1\na/2.png, \"b/2.png\", val, P2\n",
		"capitals":              "HE,IHC,Split,Patient\n" + strings.SplitN(strings.ReplaceAll(plain, "train", "Train"), "\n", 2)[1],
		"empty lines and cells": "\n" + with("\n", ",,\n\n,,,\n"),
		"other order":           "patient,split,ihc,he\nP1,train,b/1.png,a/1.png\nP2,val,b/2.png,a/2.png\n",
		"Windows separators":    with("/", `\`),
		"absolute":              with("a/", root+"/a/"),
		"dots":                  with("b/", "./a/../b/"),
	} {
		t.Run(name, func(t *testing.T) {
			path := putBytes(t, filepath.Join(root, "list.csv"), text)
			set := open(t, data.Location{Layout: data.MIST, Root: path}) // .csv is a list, whatever the layout
			for i := range set.Pairs {
				set.Pairs[i].Name = "a/" + filepath.Base(filepath.FromSlash(strings.ReplaceAll(set.Pairs[i].Name, `\`, "/")))
			}
			if diff := cmp.Diff(want, list(set.Pairs)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(set.Notes) > 0 {
				t.Errorf("notes %q", set.Notes)
			}
		})
	}
}

// An ä in a list is the ä of the file's name, in whichever of Unicode's forms either is written.
func TestListInOtherUnicodeForm(t *testing.T) {
	root := pairFolders(t)
	put(t, filepath.Join(root, "a", "\u00e4.png"), 4, 4, 9)
	put(t, filepath.Join(root, "b", "a\u0308.png"), 4, 4, 10)
	path := putBytes(
		t, filepath.Join(root, "list.csv"), "he,ihc,patient\na/a\u0308.png,b/\u00e4.png,\u00e4\na/1.png,b/1.png,a\u0308\n",
	)
	if pairs := open(t, data.Location{Root: path}).Pairs; len(pairs) != 2 || pairs[0].Patient != pairs[1].Patient {
		t.Errorf("pairs %+v", pairs)
	}
}

// What a list has wrong is said in a user's words, all lines at once.
func TestListRefused(t *testing.T) {
	root := pairFolders(t)
	long := "he,ihc\n"
	for range 20 {
		long += ",b/1.png\n"
	}
	for _, test := range []struct{ name, text, want string }{
		{"UTF-16", "\xFF\xFEh\x00e\x00", "the list is in UTF-16: save it as CSV in UTF-8"},
		{"UTF-16, big-endian", "\xFE\xFF\x00h\x00e", "the list is in UTF-16: save it as CSV in UTF-8"},
		{"UTF-16 without a mark", "h\x00e\x00", "the list has zero bytes, so it is in UTF-16 or no text: save it as CSV in UTF-8"},
		{"a workbook", "PK\x03\x04...", "this is an Excel workbook or a zip archive: save the sheet as CSV in UTF-8"},
		{"nothing", " \n", "the list is empty: want a line of column names, such as he,ihc,split,patient"},
		{"no ihc", "he;path\n", `no column ihc: the columns are ["he" "path"]; he and ihc are needed, split and patient are read`},
		{"two of a name", "he,ihc,he\n", "two columns are named he"},
		{"no names", "a/1.png,b/1.png\n", "the first line has no column names: want a line such as he,ihc,split,patient above the paths"},
		{"no path", "he,ihc\na/1.png\n,b/1.png\n", "lines 2, 3 have no path in the columns he and ihc"},
		{"many", long, "lines 2, 3, 4, 5, 6 and 15 more have no path in the columns he and ihc"},
		{"a comma in a path", "he,ihc\na/1.png,b/1,x.png\n", `line 2 has more cells than the 2 columns: put a path with ',' in quotes`},
		{
			"quotes", "he,ihc\na/\"1.png,b/1.png\n\"a/2.png,b/2.png\n",
			"lines 2, 3 have a quote that is not closed or in the middle of a cell: put the whole cell in quotes and double those inside",
		},
		{
			"twice", "he,ihc\na/1.png,b/1.png\n./a/1.png,b/2.png\n",
			"H&E images that come twice (1):\n\tlines 2 and 3 have the same H&E image ./a/1.png",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := putBytes(t, filepath.Join(root, "list.csv"), test.text)
			_, err := data.Open(context.Background(), data.Location{Layout: data.CSV, Root: path}, data.CorruptError)
			var field *option.KeyError
			if !errors.As(err, &field) || field.Key != "dir" {
				t.Fatalf("error %v, want one of dir", err)
			}
			if diff := cmp.Diff("dir: "+path+": "+test.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestColumnsThatAreNotReadAreListed(t *testing.T) {
	root := pairFolders(t)
	path := putBytes(
		t,
		filepath.Join(root, "list.csv"),
		"he,ihc,Grade,patients,split\na/1.png,b/1.png,1,P1,train\na/2.png,b/2.png,2,P1,\n",
	)
	want := []string{
		"columns of " + path + " that are not read: grade, patients",
		"1 pair of " + path + " without a split",
	}
	if diff := cmp.Diff(want, open(t, data.Location{Layout: data.CSV, Root: path}).Notes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The column patient of a list is stronger than a pattern, also where it is empty, and the conflict is told.
func TestPatientColumnWins(t *testing.T) {
	root := pairFolders(t)
	path := putBytes(
		t, filepath.Join(root, "list.csv"), "he,ihc,split,patient\na/1.png,b/1.png,train,P1\na/2.png,b/2.png,val,P1\n",
	)
	for pattern, notes := range map[string][]string{
		"":      nil,
		`P1|a`:  {"the column patient of " + path + " holds, not the patient pattern P1|a, which differs for 2 of 2 pairs: a/1 belongs to \"P1\" by the column, to \"a\" by the pattern"},
		`(x)`:   {"the column patient of " + path + " holds, not the patient pattern (x), which differs for 2 of 2 pairs: a/1 belongs to \"P1\" by the column, to \"\" by the pattern"},
		`a/\d+`: {"the column patient of " + path + ` holds, not the patient pattern a/\d+, which differs for 2 of 2 pairs: a/1 belongs to "P1" by the column, to "a/1" by the pattern`},
	} {
		set := open(t, data.Location{Layout: data.CSV, Root: path, PatientPattern: pattern})
		if diff := cmp.Diff([]string{"a/1 b train P1", "a/2 b val P1"}, list(set.Pairs)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", pattern, diff)
		}
		if diff := cmp.Diff(notes, set.Notes); diff != "" {
			t.Errorf("%s: notes (-want +got):\n%s", pattern, diff)
		}
		if shared := data.SharedPatients(set.Pairs); len(shared) != 1 {
			t.Errorf("%s: shared patients %v", pattern, shared)
		}
	}
	empty := putBytes(t, filepath.Join(root, "empty.csv"), "he,ihc,patient\na/1.png,b/1.png,\na/2.png,b/2.png,\n")
	if got := open(t, data.Location{Layout: data.CSV, Root: empty, PatientPattern: "a"}).Pairs; got[0].Patient != "" {
		t.Errorf("an empty cell is of %q", got[0].Patient)
	}
	noColumn := putBytes(t, filepath.Join(root, "none.csv"), "he,ihc\na/1.png,b/1.png\na/2.png,b/2.png\n")
	set := open(t, data.Location{Layout: data.CSV, Root: noColumn, PatientPattern: "1"})
	if diff := cmp.Diff(
		[]string{"the patient pattern 1 finds no patient in 1 of 2 names, such as a/2"}, set.Notes,
	); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Where there is no pair, the error says what was looked for and what is there; Check and Open agree.
func TestNoPairs(t *testing.T) {
	const looked = "; looked for .png, .jpg, .jpeg, .tif, .tiff, .btf, .tf2, .tf8, .bmp\n\t"
	for _, test := range []struct {
		name  string
		files []string
		loc   data.Location // its paths are below the root
		want  string        // ROOT stands for the root
	}{
		{
			"a folder a slide",
			[]string{"he/s1/1.png", "ihc/s1/1.png", "he/s2/2.png", "ihc/s2/2.png"},
			data.Location{Layout: data.Folders, HE: "he", IHC: "ihc"},
			"data: no pairs of images in ROOT/he and ROOT/ihc (folders)" + looked + "ROOT/he: the folders s1, s2 with 2 images, such as s1/1\n\t" +
				"ROOT/ihc: the folders s1, s2 with 2 images, such as s1/1\n\t" +
				"by their names 2 pairs could belong together, such as s1/1 and s1/1: --suffixes '*,*' (data.suffixes)",
		},
		{
			"empty folders",
			[]string{"he/.hidden.png", "ihc/notes.txt", "ihc/a.svs", "ihc/b.svs"},
			data.Location{Layout: data.Folders, HE: "he", IHC: "ihc"},
			"data: no pairs of images in ROOT/he and ROOT/ihc (folders)" + looked + "ROOT/he: nothing\n\tROOT/ihc: 2 .svs files, 1 .txt file",
		},
		{"an empty folder", nil, data.Location{Layout: data.Combined}, "data: no pairs of images in ROOT (combined)" + looked + "ROOT: nothing"},
		{
			"empty folders of MIST",
			[]string{"trainA/.x", "trainB/.x"},
			data.Location{Layout: data.MIST},
			"data: no pairs of images in ROOT (mist)" + looked + "ROOT/trainA: nothing\n\tROOT/trainB: nothing",
		},
		{
			"another layout",
			[]string{"HE/train/1.png", "IHC/train/1.png"},
			data.Location{Layout: data.MIST},
			"dir: ROOT has no images of split \"train|val|test\" in the layout mist, which wants for example ROOT/trainA; it has the folders HE, IHC " +
				"with 2 images, such as HE/train/1\n\tthe layout bci finds 1 pair (--layout bci, data.layout)",
		},
		{
			"suffixes in one folder",
			[]string{"c1_HE.png", "c1_ER.png", "c2_HE.png", "c2_ER.png"},
			data.Location{Layout: data.MIST},
			"dir: ROOT has no images of split \"train|val|test\" in the layout mist, which wants for example ROOT/trainA; it has 4 .png files\n\t" +
				"by their names 2 pairs could belong together, such as c1_HE and c1_ER: --layout folders --suffixes _HE,_ER (data.layout, data.suffixes)",
		},
		{"no folder", nil, data.Location{Layout: data.BCI, Root: "nowhere"}, "dir: there is no folder ROOT/nowhere"},
		{
			"a list of names only",
			[]string{"list.csv"},
			data.Location{Layout: data.CSV, Root: "list.csv"},
			"data: no pairs of images in ROOT/list.csv (csv)\n\tROOT/list.csv: a line of column names and no pair below it",
		},
		{"no list", nil, data.Location{Layout: data.MIST, Root: "list.csv"}, "dir: there is no list ROOT/list.csv"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for i, name := range test.files {
				if path := filepath.Join(root, name); filepath.Ext(name) == ".png" {
					put(t, path, 2, 2, uint8(i))
				} else {
					putBytes(t, path, "he,ihc\n")
				}
			}
			loc := test.loc
			if loc.Layout == data.Folders {
				loc.HE, loc.IHC = filepath.Join(root, loc.HE), filepath.Join(root, loc.IHC)
			} else {
				loc.Root = filepath.Join(root, loc.Root)
			}
			want := strings.ReplaceAll(test.want, "ROOT", root)
			_, opened := data.Open(context.Background(), loc, data.CorruptError)
			_, checked := data.Check(context.Background(), loc, data.CorruptError, imagefile.Options{})
			for _, err := range []error{opened, checked} {
				if err == nil {
					t.Fatal("no error")
				}
				if diff := cmp.Diff(want, err.Error()); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				var field *option.KeyError
				if !errors.As(err, &field) && !errors.Is(err, data.ErrNoPairs) {
					t.Errorf("%v is neither of a field nor %v", err, data.ErrNoPairs)
				}
			}
		})
	}
}
