package data_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data"
)

// Names that tell the stains apart are paired by suffixes, and an error without them says which.
func TestNamesWithSuffixes(t *testing.T) {
	for _, test := range []struct {
		name     string
		files    []string // of one folder, or of he/ and ihc/
		suffixes string   // what is detected
		want     []string // names and IHC files
	}{
		{"endings", []string{"c1_HE.png", "c1_ER.png", "c2_HE.png", "c2_ER.png"}, "_HE,_ER", []string{"c1 c1_ER.png", "c2 c2_ER.png"}},
		{"endings, another delimiter", []string{"c1-h&e.png", "c1-Ki67.png", "c2-h&e.png", "c2-Ki67.png"}, "-h&e,-Ki67", []string{"c1 c1-Ki67.png", "c2 c2-Ki67.png"}},
		{"endings without a delimiter", []string{"1HE.png", "1ER.png", "2HE.png", "2ER.png"}, "HE,ER", []string{"1 1ER.png", "2 2ER.png"}},
		{"beginnings", []string{"HE_1.png", "ER_1.png", "HE_2.png", "ER_2.png"}, "HE_*,ER_*", []string{"1 ER_1.png", "2 ER_2.png"}},
		{"in the middle", []string{"c_HE_1.png", "c_ER_1.png", "c_HE_2.png", "c_ER_2.png"}, "*_HE_*,*_ER_*", []string{"c_1 c_ER_1.png", "c_2 c_ER_2.png"}},
		{"folders", []string{"HE/1.png", "ER/1.png", "HE/2.png", "ER/2.png"}, "HE/*,ER/*", []string{"1 1.png", "2 2.png"}},
		{"folders of a slide", []string{"s1/HE/1.png", "s1/ER/1.png", "s2/HE/1.png", "s2/ER/1.png"}, "*/HE/*,*/ER/*", []string{"s1/1 1.png", "s2/1 1.png"}},
		{"a folder a case", []string{"c1/HE.png", "c1/ER.png", "c2/HE.png", "c2/ER.png"}, "/HE,/ER", []string{"c1 ER.png", "c2 ER.png"}},
		{"only the IHC", []string{"c1.png", "c1_ER.png", "c2.png", "c2_ER.png"}, "*,*_ER", []string{"c1 c1_ER.png", "c2 c2_ER.png"}},
		{"two folders", []string{"he/1_HE.png", "ihc/1_ER.png", "he/2_HE.png", "ihc/2_ER.png"}, "_HE,_ER", []string{"1 1_ER.png", "2 2_ER.png"}},
		{"two folders, one side", []string{"he/1.png", "ihc/1_ER.png", "he/2.png", "ihc/2_ER.png"}, "*,*_ER", []string{"1 1_ER.png", "2 2_ER.png"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			for i, name := range test.files {
				put(t, filepath.Join(root, name), 2, 2, uint8(i))
			}
			loc := data.Location{Layout: data.Folders, HE: root, IHC: root}
			if strings.HasPrefix(test.files[0], "he/") {
				loc.HE, loc.IHC = filepath.Join(root, "he"), filepath.Join(root, "ihc")
			}
			_, err := data.Open(context.Background(), loc, data.CorruptError)
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "'", ""), "--suffixes "+test.suffixes+" (") {
				t.Errorf("error does not say --suffixes %s: %v", test.suffixes, err)
			}
			loc.Suffixes = test.suffixes
			var got []string
			for _, p := range open(t, loc).Pairs {
				got = append(got, p.Name+" "+filepath.Base(p.IHC.Path))
				if p.HE.Path == p.IHC.Path {
					t.Errorf("%s is paired with itself", p.HE.Path)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Suffixes hold in the layouts of two folders, and the patient is found in what the names share.
func TestSuffixesInMIST(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "trainA", "P1_0_HE.png"), 2, 2, 0)
	put(t, filepath.Join(root, "trainB", "P1_0_ER.png"), 2, 2, 1)
	put(t, filepath.Join(root, "trainB", "P1_0_PR.png"), 2, 2, 2)
	set := open(t, data.Location{Layout: data.MIST, Root: root, Suffixes: "_HE.png,_ER.png"})
	if len(set.Pairs) != 1 || set.Pairs[0].Patient != "P1" || set.Pairs[0].Name != "P1_0" {
		t.Errorf("pairs %+v", set.Pairs)
	}
	want := []string{"1 of 2 images in " + filepath.Join(root, "trainB") + " don't match *_ER and are left out"}
	if diff := cmp.Diff(want, set.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestSuffixesRefused(t *testing.T) {
	root := pairFolders(t)
	for suffixes, want := range map[string]string{
		"_HE":       `suffixes: "_HE": want two, that of the H&E images first, such as _HE,_ER`,
		"a,b,c":     `suffixes: "a,b,c": want two, that of the H&E images first, such as _HE,_ER`,
		"\xff,_ER":  `suffixes: "\xff,_ER" is not in UTF-8`,
		"*_HE,*_*E": `suffixes: "*_HE,*_*E": the two have different numbers of asterisks`,
	} {
		_, err := data.Open(
			context.Background(), data.Location{Layout: data.Folders, Root: root, Suffixes: suffixes}, data.CorruptError,
		)
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// Thousands of images with one fault are one message.
func TestManyProblemsAreGrouped(t *testing.T) {
	root := t.TempDir()
	he, ihc := filepath.Join(root, "he"), filepath.Join(root, "ihc")
	for i := range 40 {
		putBytes(t, filepath.Join(he, fmt.Sprintf("%02d.png", i)), "")
	}
	put(t, filepath.Join(ihc, "x.png"), 2, 2, 0)
	_, err := data.Open(context.Background(), data.Location{Layout: data.Folders, HE: he, IHC: ihc}, data.CorruptError)
	var problems *data.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v", err)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 8 || lines[0] != "data: 41 problems" || lines[1] != "\twithout a partner (41):" ||
		lines[7] != "\t\t… and 36 more" {
		t.Errorf("%d lines:\n%v", len(lines), err)
	}
}
