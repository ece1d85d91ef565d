package experiments

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/histdist/histdist/data"
)

// contents are the fingerprints of the images that a run reads: see train.Source.
type contents []content

// content is the fingerprint of an image. Its name has no folder, so that a data set may move.
type content struct {
	part, stain, name string
	data.Fingerprint
}

// contentColumns are the columns of a checkpoint's record.
var contentColumns = []string{"part", "stain", "name", "bytes", "sampled", "sha256"}

// openContents takes the fingerprints of the run's pairs.
func (e *Experiment) openContents(ctx context.Context) error {
	var list contents
	var paths []string
	add := func(part, stain string, s data.Source) {
		list = append(list, content{part: part, stain: stain, name: filepath.Base(s.Path)})
		paths = append(paths, s.Path)
	}
	for _, part := range []struct {
		name  string
		pairs []data.Pair
	}{{"training", e.Pairs.Train}, {"validation", e.Pairs.Validation}} {
		for _, p := range part.pairs {
			if p.HE.Path == p.IHC.Path {
				add(part.name, "H&E and IHC", p.HE)
				continue
			}
			add(part.name, "H&E", p.HE)
			add(part.name, "IHC", p.IHC)
		}
	}
	prints, err := data.Fingerprints(ctx, paths, e.Config.Data.Fingerprint == "full")
	for i, f := range prints {
		list[i].Fingerprint = f
	}
	e.contents = list
	return err
}

// Record writes the fingerprints as a table.
func (c contents) Record() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{contentColumns}
	for _, x := range c {
		rows = append(rows, []string{x.part, x.stain, x.name, strconv.FormatInt(x.Bytes, 10), x.Sampled, x.Full})
	}
	_ = w.WriteAll(rows) // to memory
	return b.Bytes()
}

func readContents(record []byte) (contents, error) {
	rows, err := csv.NewReader(bytes.NewReader(record)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], contentColumns) {
		return nil, fmt.Errorf("want the columns %s", strings.Join(contentColumns, ","))
	}
	var c contents
	for _, row := range rows[1:] {
		size, err := strconv.ParseInt(row[3], 10, 64)
		if err != nil {
			return nil, err
		}
		c = append(c, content{row[0], row[1], row[2], data.Fingerprint{Bytes: size, Sampled: row[4], Full: row[5]}})
	}
	return c, nil
}

// Changes lists how the images differ from those of a record, a line for each part and stain.
func (c contents) Changes(record []byte) ([]string, error) {
	before, err := readContents(record)
	if err != nil {
		return nil, err
	}
	type kind struct{ part, stain string }
	type image struct {
		kind
		name string
		nth  int // of this name
	}
	index := func(list contents) (map[image]data.Fingerprint, []image) {
		prints, order, count := map[image]data.Fingerprint{}, []image{}, map[image]int{}
		for _, x := range list {
			key := image{kind{x.part, x.stain}, x.name, 0}
			count[key]++
			key.nth = count[key]
			prints[key] = x.Fingerprint
			order = append(order, key)
		}
		return prints, order
	}
	old, oldOrder := index(before)
	now, order := index(c)
	replaced, added, gone := map[kind][]string{}, map[kind][]string{}, map[kind][]string{}
	var kinds []kind
	total := map[kind]int{}
	for _, x := range order {
		total[x.kind]++
		switch f, ok := old[x]; {
		case !ok:
			added[x.kind] = append(added[x.kind], x.name)
		case !f.Same(now[x]):
			replaced[x.kind] = append(replaced[x.kind], x.name)
		}
	}
	for _, x := range oldOrder {
		if _, ok := now[x]; !ok {
			gone[x.kind] = append(gone[x.kind], x.name)
		}
	}
	for _, x := range slices.Concat(order, oldOrder) {
		if !slices.Contains(kinds, x.kind) {
			kinds = append(kinds, x.kind)
		}
	}
	var changes []string
	for _, k := range kinds {
		var parts []string
		for _, change := range []struct {
			names []string
			text  string
		}{{replaced[k], "replaced under their names"}, {added[k], "new"}, {gone[k], "gone"}} {
			if n := len(change.names); n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s, such as %s", n, change.text, change.names[0]))
			}
		}
		if len(parts) > 0 {
			changes = append(changes, fmt.Sprintf("%s images for %s: of %d now, %s",
				k.stain, k.part, total[k], strings.Join(parts, "; ")))
		}
	}
	return changes, nil
}
