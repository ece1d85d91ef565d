package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Range is an interval as text.
func (i *Interval) Range(decimals int) string {
	if i == nil {
		return ""
	}
	return i.Low.Text(decimals) + " to " + i.High.Text(decimals)
}

// Spread is a metric's interval, or the deviation of KID's subsets, as text.
func (m *Metric) Spread() string {
	if m.Std != nil {
		return "± " + m.Std.Text(m.Decimals)
	}
	return m.Interval.Range(m.Decimals)
}

// Text is a reference as text.
func (r *Reference) Text(decimals int) string {
	switch {
	case r == nil:
		return "–"
	case r.Std != nil:
		return r.Value.Text(decimals) + " ± " + r.Std.Text(decimals)
	}
	return r.Value.Text(decimals)
}

// Spread is a reference's interval, or KID's deviation, as text.
func (r *Reference) Spread(decimals int) string {
	if r.Std != nil {
		return "± " + r.Std.Text(decimals)
	}
	return r.Interval.Range(decimals)
}

// Full is a reference with its interval.
func (r *Reference) Full(decimals int) string {
	if r == nil || r.Interval == nil {
		return r.Text(decimals)
	}
	return r.Text(decimals) + " (" + r.Interval.Range(decimals) + ")"
}

// Arrow says which values are good.
func (b Better) Arrow() string {
	switch b {
	case Higher:
		return "↑"
	case Lower:
		return "↓"
	case Zero:
		return "→ 0"
	case One:
		return "→ 1"
	}
	return ""
}

// header is the table's in text and Markdown.
func (r *Results) header() []string {
	interval := fmt.Sprintf("%g %% interval", 100*r.Settings.Level)
	return []string{"metric", "", "value", interval, "H&E (floor)", "real/real (ceiling)", "chance", "n"}
}

// cells are a metric's line in text and Markdown.
func (m *Metric) cells() []string {
	name := m.Name
	if m.Unit != "" {
		name += " [" + m.Unit + "]"
	}
	d := m.Decimals
	return []string{
		name, m.Better.Arrow(), m.Value.Text(d), m.Spread(), m.Floor.Text(d), m.Ceiling.Text(d), m.Chance.Full(d),
		fmt.Sprint(m.N),
	}
}

// Groups lists the metrics under their headings, in order.
func (r *Results) Groups() []Group {
	var groups []Group
	for _, m := range r.Metrics {
		if len(groups) == 0 || groups[len(groups)-1].Name != m.Group {
			groups = append(groups, Group{Name: m.Group})
		}
		g := &groups[len(groups)-1]
		g.Metrics = append(g.Metrics, m)
	}
	return groups
}

// Group is metrics under a heading.
type Group struct {
	Name    string
	Metrics []Metric
}

// Headline is a sentence on what was compared and how intervals are drawn.
func (r *Results) Headline() string {
	s := fmt.Sprintf("%d pairs", r.Counts.Pairs)
	if r.Counts.Patients > 0 {
		s += fmt.Sprintf(" of %d patients or slides", r.Counts.Patients)
	}
	s += fmt.Sprintf("; intervals: %g %%, %d resamples by %s", 100*r.Settings.Level, r.Settings.Resamples, r.Units.By)
	if r.Units.Why != "" {
		s += " (" + r.Units.Why + ")"
	}
	return s
}

// notes lists the notes on single metrics.
func (r *Results) notes() []string {
	var list []string
	for _, m := range r.Metrics {
		if m.Note != "" {
			list = append(list, m.Name+": "+m.Note)
		}
		if m.Undefined != "" {
			list = append(list, m.Name+": no value: "+m.Undefined)
		}
	}
	return list
}

// Text is the results as a table for a terminal.
func (r *Results) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nreal: %s\nvirtual: %s\n\n", r.Headline(), r.Folders.Real, r.Folders.Virtual)
	var rows [][]string
	for _, g := range r.Groups() {
		rows = append(rows, []string{strings.ToUpper(g.Name)})
		for _, m := range g.Metrics {
			cells := m.cells()
			cells[0] = "  " + cells[0]
			rows = append(rows, cells)
		}
	}
	plainTable(&b, r.header(), rows, 2)
	if c := r.Comparison; c != nil {
		fmt.Fprintf(&b, "\nagainst %s: %s\n", c.Against, r.comparison())
		rows = nil
		for _, t := range c.Tests {
			rows = append(rows, t.Cells())
		}
		plainTable(&b, comparisonHeader(), rows, 2)
	}
	for _, section := range r.sections() {
		fmt.Fprintf(&b, "\n%s\n", strings.ToLower(section.title))
		for _, l := range section.shown() {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	return b.String()
}

// section is a list in text and Markdown.
type section struct {
	title string
	lines []string
	files bool // a line for each file: a terminal shows the first maxLines
}

// sections are the lists after the tables that aren't empty.
func (r *Results) sections() []section {
	return slices.DeleteFunc([]section{
		{"Notes", r.notes(), false},
		{"Not computed", r.notComputed(), false},
		{"Warnings", r.Warnings, false},
		{"Without a partner", texts(r.Missing), true},
		{"Failed", texts(r.Problems), true},
	}, func(s section) bool { return len(s.lines) == 0 })
}

// comparison says how a comparison was made.
func (r *Results) comparison() string {
	s := fmt.Sprintf("%d common pairs, signs flipped by %s", r.Comparison.Pairs, r.Units.By)
	if least := r.Comparison.Smallest; least != nil {
		s += fmt.Sprintf("; with so few of them no p can be below %s", least.Text(4))
	}
	return s
}

func comparisonHeader() []string {
	return []string{"measure", "", "this", "other", "difference", "interval", "effect d", "p", "p (Holm)", "n"}
}

// Cells are a test's line.
func (t PairTest) Cells() []string {
	return []string{
		t.Name, t.Better.Arrow(), t.This.Text(4), t.Other.Text(4), t.Difference.Text(4), t.Interval.Range(4),
		t.Effect.Text(2),
		probability(t.P), probability(t.Holm), fmt.Sprint(t.N),
	}
}

// probability is a P value as text.
func probability(p Number) string {
	switch {
	case !p.Known():
		return "–"
	case p < 0.0001:
		return "< 0.0001"
	}
	return p.Text(4)
}

func (r *Results) notComputed() []string {
	var list []string
	for _, n := range r.Absent() {
		list = append(list, n.Name+": "+n.Reason)
	}
	return list
}

func texts[T fmt.Stringer](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}

// maxLines is how many lines of a section of files are printed; results.json has all.
const maxLines = 20

func (s section) shown() []string {
	if !s.files || len(s.lines) <= maxLines {
		return s.lines
	}
	return append(s.lines[:maxLines:maxLines],
		fmt.Sprintf("… and %d more (%s has all)", len(s.lines)-maxLines, ResultsFile))
}

// Markdown is the results as results.md has them.
func (r *Results) Markdown() string {
	var b strings.Builder
	f := r.Folders
	fmt.Fprintf(&b, "# Evaluation\n\n%s.\n\n- real: `%s`\n- virtual: `%s`\n", r.Headline(), f.Real, f.Virtual)
	if f.HE != "" {
		fmt.Fprintf(&b, "- H&E: `%s`\n", f.HE)
	}
	fmt.Fprintf(&b, "- made by %s, %s\n", r.Software, r.Created.Format("2006-01-02 15:04 UTC"))
	b.WriteString("\n")
	var rows [][]string
	for _, g := range r.Groups() {
		rows = append(rows, append([]string{"**" + g.Name + "**"}, make([]string, 7)...))
		for _, m := range g.Metrics {
			rows = append(rows, m.cells())
		}
	}
	markdownTable(&b, r.header(), rows, 2)
	if c := r.Comparison; c != nil {
		fmt.Fprintf(&b, "\n## Against `%s`\n\nPaired tests: %s.\n\n", c.Against, r.comparison())
		rows = nil
		for _, t := range c.Tests {
			rows = append(rows, t.Cells())
		}
		markdownTable(&b, comparisonHeader(), rows, 2)
	}
	for _, section := range r.sections() {
		fmt.Fprintf(&b, "\n## %s\n\n", section.title)
		for _, l := range section.lines {
			fmt.Fprintf(&b, "- %s\n", l)
		}
	}
	return b.String()
}

// layout pads a table's cells to the widths of their columns, right-aligned from column right on.
func layout(header []string, rows [][]string, right int) (lines [][]string, widths []int) {
	widths = make([]int, len(header))
	lines = append([][]string{header}, rows...)
	for _, row := range lines {
		for i, cell := range row {
			if len(row) > 1 { // a heading alone in its line may be longer
				widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
			}
		}
	}
	for k, row := range lines {
		padded := make([]string, len(row))
		for i, cell := range row {
			pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell)))
			if i >= right {
				padded[i] = pad + cell
			} else {
				padded[i] = cell + pad
			}
		}
		lines[k] = padded
	}
	return lines, widths
}

// plainTable writes a table for a terminal.
func plainTable(b *strings.Builder, header []string, rows [][]string, right int) {
	lines, _ := layout(header, rows, right)
	for _, line := range lines {
		b.WriteString(strings.TrimRight(strings.Join(line, "  "), " ") + "\n")
	}
}

// markdownTable writes a table in Markdown.
func markdownTable(b *strings.Builder, header []string, rows [][]string, right int) {
	lines, widths := layout(header, rows, right)
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(lines[0])
	for i, w := range widths {
		if i >= right {
			b.WriteString("|" + strings.Repeat("-", w+1) + ":")
		} else {
			b.WriteString("|" + strings.Repeat("-", w+2))
		}
	}
	b.WriteString("|\n")
	for _, cells := range lines[1:] {
		line(cells)
	}
}
