package data

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/parallel"
)

// Dataset is a checked list of pairs, sorted by split and name.
type Dataset struct {
	Pairs []Pair
}

// Open finds the pairs of a location and reads the headers of their files. An orphan, an unreadable file or a pair of two
// sizes is an error of type *Problems, which lists all of them. The pictures themselves are decoded by Check or when they are
// needed.
func Open(ctx context.Context, loc Location) (*Dataset, error) {
	found, err := list(loc)
	if err != nil {
		return nil, err
	}
	if err := found.headers(ctx); err != nil {
		return nil, err
	}
	if found.problems.Count() > 0 {
		return nil, &found.problems
	}
	if len(found.pairs) == 0 {
		return nil, fmt.Errorf("data: no pairs of pictures in %s", loc)
	}
	return &Dataset{Pairs: found.pairs}, nil
}

// String names the place.
func (loc Location) String() string {
	place := loc.Root
	if loc.Layout == Folders {
		place = loc.HE + " and " + loc.IHC
	}
	if loc.Split != "" {
		place += ", split " + loc.Split
	}
	return fmt.Sprintf("%s (%s)", place, loc.Layout)
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

func sizeOf(s Source) (size [2]int, err error) {
	config, err := imagefile.DecodeConfig(s.Path)
	if err != nil {
		return size, err
	}
	size[0], size[1], err = s.size(config.Width, config.Height)
	if err != nil {
		return size, fmt.Errorf("%s: %w", s.Path, err)
	}
	return size, nil
}
