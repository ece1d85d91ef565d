package tissue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/histdist/histdist/data/slide"
)

// What is taken for tissue, besides the areas of a file.
const (
	Auto       = "auto" // what Detect finds
	Everything = "all"
)

// Usage describes the option.
const Usage = "what is tissue: auto (found by its colour), all (the whole slide), or a GeoJSON file of areas, " +
	"as QuPath exports them"

// ErrNone says that there is no tissue.
var ErrNone = errors.New("no tissue found")

// Choose returns what the option says is tissue: auto, all, or the name of a GeoJSON file. It is ErrNone that nothing
// is.
func Choose(ctx context.Context, s *slide.Slide, option string) (*Mask, error) {
	var m *Mask
	var err error
	switch option {
	case Auto:
		m, err = Detect(ctx, s)
	case Everything:
		return All(s), nil
	default:
		var areas []Area
		areas, err = ReadGeoJSON(option)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%q is neither auto nor all, and there is no such file: %w", option, fs.ErrNotExist)
		case err != nil:
			return nil, err
		}
		if m, err = Fill(ctx, s, areas); err != nil {
			return nil, fmt.Errorf("%s: %w", option, err)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case m.Share() > 0:
		return m, nil
	case option == Auto:
		return nil, fmt.Errorf("%s: %w by its colour; name areas in a GeoJSON file, or take all", s.Path, ErrNone)
	}
	return nil, fmt.Errorf("%s: %w: its areas are smaller than a pixel of the mask", option, ErrNone)
}
