package data

import (
	"fmt"
	"slices"
	"strings"
)

// Problems is the error of a data set that can't be used as it is: everything that is wrong with it.
type Problems struct {
	Orphans    []Orphan
	SameName   [][2]string // two images of one folder with one stem
	Unreadable []FileError
	Mismatches []Mismatch
	Hints      []string // how the location might be read instead, where most images have no partner
}

// Orphan is an image without its partner.
type Orphan struct {
	Path   string
	Folder string // where the partner should be
}

// FileError is a file that can't be read; Err names it.
type FileError struct {
	Path string
	Err  error
}

// Mismatch is a pair whose images differ in size.
type Mismatch struct {
	HE, IHC         Source
	HESize, IHCSize [2]int // width, height
}

func (o Orphan) String() string    { return fmt.Sprintf("%s has no partner in %s", o.Path, o.Folder) }
func (f FileError) String() string { return f.Err.Error() }
func (m Mismatch) String() string {
	he, ihc := m.HESize, m.IHCSize
	return fmt.Sprintf("%s has %d×%d pixels, %s has %d×%d", m.HE, he[0], he[1], m.IHC, ihc[0], ihc[1])
}

// Count is how many problems there are.
func (p *Problems) Count() int {
	return len(p.Orphans) + len(p.SameName) + len(p.Unreadable) + len(p.Mismatches)
}

// Error lists the problems by kind, shortening long lists.
func (p *Problems) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "data: %s\n", plural(p.Count(), "problem"))
	for _, g := range p.groups() {
		g.write(&b, "\t", shownLines)
	}
	for _, hint := range p.Hints {
		fmt.Fprintf(&b, "\t%s\n", hint)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (p *Problems) groups() []group {
	list := []group{
		{"without a partner", texts(p.Orphans)},
		{"two images with the same name", nil},
		{"unreadable", texts(p.Unreadable)},
		{"pairs of different sizes", texts(p.Mismatches)},
	}
	for _, s := range p.SameName {
		list[1].lines = append(list[1].lines, fmt.Sprintf("%s and %s have the same name", s[0], s[1]))
	}
	slices.Sort(list[1].lines)
	return list
}

func texts[T fmt.Stringer](list []T) []string {
	var lines []string
	for _, x := range list {
		lines = append(lines, x.String())
	}
	slices.Sort(lines)
	return lines
}
