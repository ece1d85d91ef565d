package data

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/option"
)

// listEndings are the endings of lists. A file named so is read as a list whatever the layout, since the others are
// folders.
var listEndings = []string{".csv", ".tsv"}

// isList reports whether a path is a list by its name.
func isList(path string) bool {
	return slices.Contains(listEndings, strings.ToLower(filepath.Ext(path))) && !isFolder(path)
}

// csv reads a list, whose paths are relative to its folder. If both columns name one file, its halves are the pair, as
// in Combined.
func (l *listed) csv(loc Location) error {
	if loc.Root == "" {
		return option.Wrong("dir", "is missing: want a list, such as pairs.csv")
	}
	if isFolder(loc.Root) {
		return option.Wrong("dir", "%s is a folder: the layout csv wants the list, a file", loc.Root)
	}
	text, err := os.ReadFile(loc.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return option.Wrong("dir", "there is no list %s", loc.Root)
	}
	if err != nil {
		return &option.KeyError{Key: "dir", Err: err}
	}
	t, err := readTable(text, "he", "ihc")
	if err != nil {
		return option.Wrong("dir", "%s: %w", loc.Root, err)
	}
	split := slices.Index(t.columns, "split")
	if loc.Split != "" && split < 0 {
		return option.Wrong("split", "%s has no column split to take %q from", loc.Root, loc.Split)
	}
	read := []string{"", "he", "ihc", "split", "patient"}
	unread := slices.DeleteFunc(slices.Clone(t.columns), func(name string) bool { return slices.Contains(read, name) })
	if len(unread) > 0 {
		l.note("columns of %s that are not read: %s", loc.Root, among(unread))
	}
	l.patientColumn = slices.Contains(t.columns, "patient")
	all, err := l.rows(t, loc)
	if err != nil {
		return option.Wrong("dir", "%s: %w", loc.Root, err)
	}
	counts := map[string]int{}
	for _, p := range all {
		counts[p.Split]++
		if loc.Split == "" || p.Split == loc.Split {
			l.pairs = append(l.pairs, p)
		}
	}
	switch {
	case len(all) == 0:
		l.looked = append(l.looked, loc.Root+": a line of column names and no pair below it")
	case len(l.pairs) == 0:
		return option.Wrong("split", "%s has no line of split %q; there are %q", loc.Root, loc.Split, sortedKeys(counts))
	case split >= 0 && counts[""] > 0:
		l.note("%s of %s without a split", plural(counts[""], "pair"), loc.Root)
	}
	return nil
}

// rows makes pairs of a list's rows. All rows that can't be used are in the error.
func (l *listed) rows(t *table, loc Location) ([]Pair, error) {
	cell := func(row tableRow, column string) string {
		i := slices.Index(t.columns, column)
		if i < 0 {
			return ""
		}
		return row.cells[i]
	}
	var pairs []Pair
	var empty []int
	var twice []string
	first := map[string]int{} // the line of an H&E image
	names := map[string]bool{}
	for _, row := range t.rows {
		he, ihc := cell(row, "he"), cell(row, "ihc")
		if strings.TrimSpace(he) == "" || strings.TrimSpace(ihc) == "" {
			empty = append(empty, row.line)
			continue
		}
		pair := Pair{
			HE: Source{Path: find(loc.Root, he)}, IHC: Source{Path: find(loc.Root, ihc)},
			Split: splitName(cell(row, "split")), Patient: norm.NFC.String(strings.TrimSpace(cell(row, "patient"))),
		}
		he = filepath.ToSlash(strings.TrimSpace(he))
		pair.Name = strings.TrimSuffix(he, filepath.Ext(he))
		if names[pair.Name] { // a.png and a.jpg
			pair.Name = he
		}
		names[pair.Name] = true
		if pair.HE.Path == pair.IHC.Path {
			pair.HE.Half, pair.IHC.Half = Left, Right
		}
		if earlier, ok := first[pair.HE.Path]; ok {
			twice = append(twice, fmt.Sprintf("lines %d and %d have the same H&E image %s", earlier, row.line, he))
			continue
		}
		first[pair.HE.Path] = row.line
		pairs = append(pairs, pair)
	}
	var errs []error
	if len(empty) > 0 {
		errs = append(errs, fmt.Errorf("%s no path in the columns he and ihc", lines(empty, "has", "have")))
	}
	if len(twice) > 0 {
		var b strings.Builder
		group{"H&E images that come twice", twice}.write(&b, "", shownLines)
		errs = append(errs, errors.New(strings.TrimSpace(b.String())))
	}
	return pairs, errors.Join(errs...)
}

// splitName is a cell of the column split; train, val and test are known in any case.
func splitName(cell string) string {
	cell = strings.TrimSpace(cell)
	for _, name := range splitNames {
		if strings.EqualFold(cell, name) {
			return name
		}
	}
	return cell
}

// find resolves a cell to a path: as written or, if there is no such file, without surrounding spaces, in the other
// Unicode form (ä may be one character or two), or with Windows separators.
func find(list, cell string) string {
	trimmed := strings.TrimSpace(cell)
	for _, written := range []string{
		cell, trimmed, norm.NFC.String(trimmed), norm.NFD.String(trimmed), strings.ReplaceAll(trimmed, `\`, "/"),
	} {
		path := relativeTo(list, written)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return relativeTo(list, trimmed)
}

func relativeTo(list, path string) string {
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(list), path)
}

// WriteCSV writes pairs as a list in the layout CSV, with paths relative to it where possible. The file appears whole
// or not at all.
func WriteCSV(path string, pairs []Pair) error {
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	relative := func(s Source) string {
		absolute, err := filepath.Abs(s.Path)
		if err != nil {
			return s.Path
		}
		if r, err := filepath.Rel(folder, absolute); err == nil {
			return filepath.ToSlash(r)
		}
		return absolute
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"he", "ihc", "split", "patient"}}
	for _, p := range pairs {
		rows = append(rows, []string{relative(p.HE), relative(p.IHC), p.Split, p.Patient})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("data: %s: %w", path, err)
	}
	if err := atomicfile.Write(path, b.Bytes()); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
