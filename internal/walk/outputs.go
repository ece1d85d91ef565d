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
	// PassPanels passes over panels: they are no images of a set. Only files that are named as panels are opened for it.
	PassPanels Outputs = iota
	// PassAll passes over virtual stains too, for sets of input. The beginning of every image is read for it.
	PassAll
)

const panelSuffix = "-panel"

// passOutputs moves images that this program made from Files to Passed.
func (l *Listing) passOutputs(ctx context.Context, o Outputs) error {
	kinds := make([]imagefile.Kind, len(l.Files))
	err := parallel.Each(ctx, len(l.Files), 2*runtime.GOMAXPROCS(0), func(i int) error {
		if o == PassAll || strings.HasSuffix(l.Files[i].Stem, panelSuffix) {
			kinds[i] = imagefile.KindOf(l.Files[i].Path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var kept []File
	for i, f := range l.Files {
		if kinds[i] == imagefile.Panel || o == PassAll && kinds[i] != imagefile.NotOurs {
			l.Passed = append(l.Passed, f)
		} else {
			kept = append(kept, f)
		}
	}
	l.Files = slices.Clip(kept)
	return nil
}
