package data

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/histdist/histdist/internal/walk"
)

// table is a list: rows of cells under named columns. Spreadsheets may separate them by commas, semicolons, tabs or
// bars, with any line ends, quotes, a byte order mark, spaces around cells and empty rows.
type table struct {
	columns []string // trimmed, in lower case
	rows    []tableRow
}

type tableRow struct {
	line  int
	cells []string // as many as there are columns; not trimmed
}

func readTable(text []byte, wanted ...string) (*table, error) {
	text, err := plainText(text)
	if err != nil {
		return nil, err
	}
	separators := []rune{',', ';', '\t', '|'}
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	if len(first) == 5 && bytes.EqualFold(first[:4], []byte("sep=")) { // Excel's
		separators, text = []rune{rune(first[4])}, rest
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("the list is empty: want a line of column names, such as %s,split,patient",
			strings.Join(wanted, ","))
	}
	var columns []string
	best, separator := -1, separators[0]
	for _, s := range separators {
		names := columnNames(text, s)
		found := 0
		for _, name := range wanted {
			if slices.Contains(names, name) {
				found++
			}
		}
		if found > best || found == best && len(names) > len(columns) {
			best, separator, columns = found, s, names
		}
	}
	for i, name := range columns {
		if name != "" && slices.Index(columns, name) < i {
			return nil, fmt.Errorf("two columns are named %s", name)
		}
	}
	if best == len(wanted) {
		return readRows(text, separator, columns)
	}
	if slices.ContainsFunc(columns, walk.IsImage) {
		return nil, fmt.Errorf("the first line has no column names: want a line such as %s,split,patient above the paths",
			strings.Join(wanted, ","))
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return slices.Contains(columns, name) })
	return nil, fmt.Errorf("no column %s: the columns are %q; %s are needed, split and patient are read",
		strings.Join(missing, " and no column "), columns, strings.Join(wanted, " and "))
}

// plainText is a text without byte order mark whose lines end in \n.
func plainText(text []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(text, []byte("\xFF\xFE")), bytes.HasPrefix(text, []byte("\xFE\xFF")):
		return nil, errors.New("the list is in UTF-16: save it as CSV in UTF-8")
	case bytes.HasPrefix(text, []byte("PK\x03\x04")):
		return nil, errors.New("this is an Excel workbook or a zip archive: save the sheet as CSV in UTF-8")
	case bytes.IndexByte(text, 0) >= 0:
		return nil, errors.New("the list has zero bytes, so it is in UTF-16 or no text: save it as CSV in UTF-8")
	}
	text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\r"), []byte("\n")), nil
}

func newReader(text []byte, separator rune) *csv.Reader {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord = separator, -1
	r.TrimLeadingSpace = separator != '\t' // there it would eat empty cells
	return r
}

// columnNames reads the first line; nil if it can't be read with this separator.
func columnNames(text []byte, separator rune) []string {
	names, err := newReader(text, separator).Read()
	if err != nil {
		return nil
	}
	for i, name := range names {
		names[i] = strings.ToLower(strings.TrimSpace(name))
	}
	return names
}

// readRows reads what follows the first line. Rows without a cell are passed over.
func readRows(text []byte, separator rune, columns []string) (*table, error) {
	t := &table{columns: columns}
	r := newReader(text, separator)
	if _, err := r.Read(); err != nil {
		return nil, err // columnNames has read it
	}
	var long, quotes []int
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			quotes = append(quotes, parse.StartLine)
			continue
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		for len(cells) > 0 && strings.TrimSpace(cells[len(cells)-1]) == "" {
			cells = cells[:len(cells)-1]
		}
		switch {
		case len(cells) == 0:
		case len(cells) > len(columns):
			long = append(long, line)
		default:
			t.rows = append(t.rows, tableRow{line, append(cells, make([]string, len(columns)-len(cells))...)})
		}
	}
	var errs []error
	if len(long) > 0 {
		errs = append(errs, fmt.Errorf("%s more cells than the %d columns: put a path with %q in quotes",
			lines(long, "has", "have"), len(columns), separator))
	}
	if len(quotes) > 0 {
		errs = append(errs, fmt.Errorf("%s a quote that is not closed or in the middle of a cell: "+
			"put the whole cell in quotes and double those inside", lines(quotes, "has", "have")))
	}
	return t, errors.Join(errs...)
}

// lines names lines with a verb: "line 3 has", "lines 3, 5 and 12 more have".
func lines(list []int, one, many string) string {
	if len(list) == 1 {
		return fmt.Sprintf("line %d %s", list[0], one)
	}
	return "lines " + among(list) + " " + many
}
