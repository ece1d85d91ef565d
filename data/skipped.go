package data

import (
	"fmt"
	"slices"
	"strings"
)

// Skipped is what can't be read of a data set: files, each once, and how many pairs are not whole for it.
type Skipped struct {
	Pairs int
	Files []FileError // sorted
}

func (s *Skipped) add(f FileError) {
	at, known := slices.BinarySearchFunc(s.Files, f, func(a, b FileError) int { return strings.Compare(a.Path, b.Path) })
	if !known {
		s.Files = slices.Insert(s.Files, at, f)
	}
}

// Plus merges what was skipped of two disjoint sets of pairs.
func (s Skipped) Plus(o Skipped) Skipped {
	sum := Skipped{s.Pairs + o.Pairs, slices.Clone(s.Files)}
	for _, f := range o.Files {
		sum.add(f)
	}
	return sum
}

// String is a line, such as "2 pairs that can't be read, such as he/a.png: the file is empty".
func (s Skipped) String() string {
	if len(s.Files) == 0 {
		return plural(s.Pairs, "pair") + " that can't be read"
	}
	return fmt.Sprintf("%s that can't be read, such as %s", plural(s.Pairs, "pair"), s.Files[0])
}
