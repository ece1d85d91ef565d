package walk

import (
	"context"
	"runtime"
	"slices"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/parallel"
)

// Outputs says what happens to images that this program made, wherever they are and whatever they are called.
type Outputs int

const (
	// PassPanels passes over panels and standard deviations: they are no images of a set. Only files that are named so are
	// opened for it.
	PassPanels Outputs = iota
	// PassAll passes over virtual stains too, for sets of input. The beginning of every image is read for it.
	PassAll
)

// What the names of panels and standard deviations end in.
var besides = []string{"-panel", "-sd"}

// passOutputs moves images that this program made from Files to Passed.
func (l *Listing) passOutputs(ctx context.Context, o Outputs) error {
	kinds := make([]imagefile.Kind, len(l.Files))
	err := parallel.Each(ctx, len(l.Files), 2*runtime.GOMAXPROCS(0), func(i int) error {
		named := func(ending string) bool { return strings.HasSuffix(l.Files[i].Stem, ending) }
		if o == PassAll || slices.ContainsFunc(besides, named) {
			kinds[i] = imagefile.KindOf(l.Files[i].Path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var kept []File
	for i, f := range l.Files {
		panel := kinds[i] == imagefile.Panel || kinds[i] == imagefile.Deviation
		if panel || o == PassAll && kinds[i] != imagefile.NotOurs {
			l.Passed = append(l.Passed, f)
		} else {
			kept = append(kept, f)
		}
	}
	l.Files = slices.Clip(kept)
	return nil
}
