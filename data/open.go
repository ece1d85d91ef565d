package data

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/parallel"
)

// Dataset is a checked list of pairs, sorted by split and name.
type Dataset struct {
	Pairs   []Pair
	Skipped Skipped  // what CorruptSkip left out
	Notes   []string // what a user should know, such as columns of a list that nobody reads
}

// Open finds the pairs of a location and reads the headers of their files. Orphans, unreadable files and pairs of two
// sizes are a *Problems error that lists them all; with CorruptSkip, pairs of unreadable files are left out instead. No
// pairs at all is ErrNoPairs, a wrong location an *option.KeyError. Images are decoded by Check or on demand.
func Open(ctx context.Context, loc Location, corrupt Corrupt) (*Dataset, error) {
	found, err := list(ctx, loc)
	if err != nil {
		return nil, err
	}
	if err := found.headers(ctx); err != nil {
		return nil, err
	}
	var skipped Skipped
	if corrupt == CorruptSkip {
		skipped = found.skip()
	}
	switch {
	case found.problems.Count() > 0:
		return nil, &found.problems
	case len(found.pairs) == 0 && skipped.Pairs > 0:
		return nil, fmt.Errorf("data: none of the %d pairs in %s can be read; the first: %w",
			skipped.Pairs, loc, skipped.Files[0].Err)
	case len(found.pairs) == 0:
		return nil, found.noPairs(ctx, loc)
	}
	return &Dataset{Pairs: found.pairs, Skipped: skipped, Notes: found.notes}, nil
}

// String names the place.
func (loc Location) String() string {
	place := loc.Root
	if loc.layout() == Folders {
		he, ihc := loc.sides()
		if place = he.folder; ihc.folder != he.folder {
			place += " and " + ihc.folder
		}
	}
	if loc.Split != "" {
		place += ", split " + loc.Split
	}
	return fmt.Sprintf("%s (%s)", place, loc.layout())
}

// headers fills in the pairs' sizes. Pairs with a problem stay in the list.
func (l *listed) headers(ctx context.Context) error {
	var lock sync.Mutex
	return parallel.Each(ctx, len(l.pairs), 2*runtime.GOMAXPROCS(0), func(i int) error {
		pair := &l.pairs[i]
		he, heErr := sizeOf(pair.HE)
		ihc, ihcErr := he, heErr
		if pair.IHC.Path != pair.HE.Path {
			ihc, ihcErr = sizeOf(pair.IHC)
		}
		lock.Lock()
		defer lock.Unlock()
		if heErr != nil {
			l.problems.Unreadable = append(l.problems.Unreadable, FileError{pair.HE.Path, heErr})
		}
		if ihcErr != nil && pair.IHC.Path != pair.HE.Path {
			l.problems.Unreadable = append(l.problems.Unreadable, FileError{pair.IHC.Path, ihcErr})
		}
		if heErr != nil || ihcErr != nil {
			return nil
		}
		if he != ihc {
			l.problems.Mismatches = append(l.problems.Mismatches, Mismatch{pair.HE, pair.IHC, he, ihc})
			return nil
		}
		pair.Width, pair.Height = he[0], he[1]
		return nil
	})
}

// skip takes unreadable files out of the problems and their pairs out of the list.
func (l *listed) skip() Skipped {
	var s Skipped
	unreadable := map[string]bool{}
	for _, f := range l.problems.Unreadable {
		s.add(f)
		unreadable[f.Path] = true
	}
	l.problems.Unreadable = nil
	before := len(l.pairs)
	l.pairs = slices.DeleteFunc(l.pairs, func(p Pair) bool { return unreadable[p.HE.Path] || unreadable[p.IHC.Path] })
	s.Pairs = before - len(l.pairs)
	return s
}

func sizeOf(s Source) (size [2]int, err error) {
	width, height, err := imagefile.Size(s.Path)
	if err != nil {
		return size, err
	}
	size[0], size[1], err = s.size(width, height)
	if err != nil {
		return size, fmt.Errorf("%s: %w", s.Path, err)
	}
	return size, nil
}
