package evaluate

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/atomicfile"
)

// Table has what was measured of each pair: images.csv.
type Table struct {
	Rows    []Row
	Columns []Column
}

// Row is a pair with its files' hashes.
type Row struct {
	Match
	RealHash, VirtualHash, HEHash string // SHA-256 of the files; "" if unreadable
}

// Column is one measure of all pairs; NaN is unknown.
type Column struct {
	ID     string
	Values []float64
}

// Values are the values of a column; nil if there is none.
func (t *Table) Values(id string) []float64 {
	for _, c := range t.Columns {
		if c.ID == id {
			return c.Values
		}
	}
	return nil
}

// add appends a column of unknown values and returns them.
func (t *Table) add(id string) []float64 {
	values := unknowns(len(t.Rows))
	t.Columns = append(t.Columns, Column{id, values})
	return values
}

// fixedColumns precede the measures in a file.
var fixedColumns = [...]string{"name", "patient", "real_sha256", "virtual_sha256", "he_sha256"}

// Write writes the table as CSV, unknown values as empty cells. The file appears whole or not at all.
func (t *Table) Write(path string) error {
	var buffer bytes.Buffer
	w := csv.NewWriter(&buffer)
	head := slices.Clone(fixedColumns[:])
	for _, c := range t.Columns {
		head = append(head, c.ID)
	}
	if err := w.Write(head); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for i, p := range t.Rows {
		row := []string{p.Name, p.Patient, p.RealHash, p.VirtualHash, p.HEHash}
		for _, c := range t.Columns {
			text := ""
			if !math.IsNaN(c.Values[i]) {
				text = strconv.FormatFloat(c.Values[i], 'g', -1, 64)
			}
			row = append(row, text)
		}
		if err := w.Write(row); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.Write(path, buffer.Bytes())
}

// readTable reads what Write wrote.
func readTable(path string) (*Table, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := parseTable(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// AreaErrors returns the infer.AreaError of each image of an evaluation, whose results are in a folder.
func AreaErrors(folder string) (infer.Calibration, error) {
	t, err := readTable(filepath.Join(folder, TableFile))
	if err != nil {
		return nil, err
	}
	truth, virtual := t.Values("real_positive_area"), t.Values("virtual_positive_area")
	var list infer.Calibration
	for i := range min(len(truth), len(virtual)) {
		if !math.IsNaN(truth[i]) && !math.IsNaN(virtual[i]) {
			list = append(list, infer.AreaError(virtual[i]/100, truth[i]/100))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no image has a positive area of the real and of the virtual stain", folder)
	}
	return list, nil
}

func parseTable(data []byte) (*Table, error) {
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || len(rows[0]) < len(fixedColumns) || !slices.Equal(rows[0][:len(fixedColumns)], fixedColumns[:]) {
		return nil, fmt.Errorf("the first line does not begin with the columns %q: not a table of an evaluation",
			fixedColumns)
	}
	t := &Table{}
	for _, id := range rows[0][len(fixedColumns):] {
		t.Columns = append(t.Columns, Column{ID: id})
	}
	for line, row := range rows[1:] {
		m := Match{Name: row[0], Patient: row[1]}
		t.Rows = append(t.Rows, Row{Match: m, RealHash: row[2], VirtualHash: row[3], HEHash: row[4]})
		for c, text := range row[len(fixedColumns):] {
			v := math.NaN()
			if text != "" {
				if v, err = strconv.ParseFloat(text, 64); err != nil {
					return nil, fmt.Errorf("line %d, column %s: %w", line+2, t.Columns[c].ID, err)
				}
			}
			t.Columns[c].Values = append(t.Columns[c].Values, v)
		}
	}
	return t, nil
}
