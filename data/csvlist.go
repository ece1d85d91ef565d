package data

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/internal/atomicfile"
)

// csv reads a list. Paths are relative to the list's folder. Where both columns name one file, its halves are the pair, as in
// Combined.
func (l *listed) csv(loc Location) error {
	file, err := os.ReadFile(loc.Root)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\xEF\xBB\xBF")))) // a byte-order mark, from Excel
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("data: %s: no line of column names: %w", loc.Root, err)
	}
	he, ihc := slices.Index(header, "he"), slices.Index(header, "ihc")
	split, patient := slices.Index(header, "split"), slices.Index(header, "patient")
	if he < 0 || ihc < 0 {
		return fmt.Errorf("data: %s: columns %q; he and ihc are needed, split and patient are read", loc.Root, header)
	}
	if loc.Split != "" && split < 0 {
		return fmt.Errorf("data: %s: no column split to take %q from", loc.Root, loc.Split)
	}
	lines := map[string]int{}
	splits := map[string]bool{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("data: %s: %w", loc.Root, err)
		}
		line, _ := r.FieldPos(0)
		if row[he] == "" || row[ihc] == "" {
			return fmt.Errorf("data: %s: line %d lacks a path", loc.Root, line)
		}
		pair := Pair{
			Name: filepath.ToSlash(strings.TrimSuffix(row[he], filepath.Ext(row[he]))),
			HE:   Source{Path: besides(loc.Root, row[he])}, IHC: Source{Path: besides(loc.Root, row[ihc])},
		}
		if pair.HE.Path == pair.IHC.Path {
			pair.HE.Half, pair.IHC.Half = Left, Right
		}
		if split >= 0 {
			pair.Split = row[split]
			splits[pair.Split] = true
		}
		if patient >= 0 {
			pair.Patient = row[patient]
		}
		if loc.Split != "" && pair.Split != loc.Split {
			continue
		}
		if earlier, ok := lines[pair.Name]; ok {
			return fmt.Errorf("data: %s: lines %d and %d have the same H&E picture %s", loc.Root, earlier, line, row[he])
		}
		lines[pair.Name] = line
		l.pairs = append(l.pairs, pair)
	}
	if len(l.pairs) == 0 && loc.Split != "" {
		return fmt.Errorf("data: %s: no line of split %q; there are %q", loc.Root, loc.Split, sortedKeys(splits))
	}
	return nil
}

func besides(list, path string) string {
	path = filepath.FromSlash(path)
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(list), path)
}

// WriteCSV writes a list of pairs that the layout CSV reads, its paths relative to it where they can be. It appears whole or
// not at all.
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
