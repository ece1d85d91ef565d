package data

import (
	"fmt"
	"slices"
	"strings"
)

// Problems is the error of a data set that can't be used as it is: everything that is wrong with it.
type Problems struct {
	Orphans    []Orphan
	SameName   [][2]string // two pictures of one folder with one stem
	Unreadable []FileError
	Mismatches []Mismatch
}

// Orphan is a picture without its partner.
type Orphan struct {
	Path   string
	Folder string // where the partner should be
}

// FileError is a file that can't be read; Err names it.
type FileError struct {
	Path string
	Err  error
}

// Mismatch is a pair whose pictures differ in size.
type Mismatch struct {
	HE, IHC         Source
	HESize, IHCSize [2]int // width, height
}

func (o Orphan) String() string    { return fmt.Sprintf("%s has no partner in %s", o.Path, o.Folder) }
func (f FileError) String() string { return f.Err.Error() }
func (m Mismatch) String() string {
	return fmt.Sprintf("%s has %d×%d pixels, %s has %d×%d", m.HE, m.HESize[0], m.HESize[1], m.IHC, m.IHCSize[0], m.IHCSize[1])
}

// Count is how many problems there are.
func (p *Problems) Count() int {
	return len(p.Orphans) + len(p.SameName) + len(p.Unreadable) + len(p.Mismatches)
}

// Error lists all problems, one a line.
func (p *Problems) Error() string {
	lines := []string{fmt.Sprintf("data: %d problems", p.Count())}
	if p.Count() == 1 {
		lines[0] = "data: 1 problem"
	}
	return strings.Join(append(lines, p.lines()...), "\n\t")
}

func (p *Problems) lines() []string {
	var lines []string
	for _, o := range p.Orphans {
		lines = append(lines, o.String())
	}
	for _, s := range p.SameName {
		lines = append(lines, fmt.Sprintf("%s and %s have one name", s[0], s[1]))
	}
	for _, f := range p.Unreadable {
		lines = append(lines, f.String())
	}
	for _, m := range p.Mismatches {
		lines = append(lines, m.String())
	}
	slices.Sort(lines)
	return lines
}
