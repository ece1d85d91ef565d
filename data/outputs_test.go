package data_test

import (
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
)

// Virtual stains and panels next to the H&E images are neither orphans nor duplicates.
func TestOwnOutputsBesideTheHE(t *testing.T) {
	root := t.TempDir()
	he, ihc := filepath.Join(root, "he"), filepath.Join(root, "ihc")
	put(t, filepath.Join(he, "a.tif"), 8, 8, 0)
	put(t, filepath.Join(ihc, "a.png"), 8, 8, 50)
	for name, kind := range map[string]imagefile.Kind{
		"a.png": imagefile.VirtualStain, "b.png": imagefile.VirtualStain, "a-panel.png": imagefile.Panel,
	} {
		made := imagefile.WriteOptions{Provenance: []imagefile.Pair{{Key: imagefile.KeyKind, Value: string(kind)}}}
		if err := imagefile.Write(filepath.Join(he, name), imagefile.New(8, 8), made); err != nil {
			t.Fatal(err)
		}
	}
	set := open(t, data.Location{Layout: data.Folders, HE: he, IHC: ihc})
	if len(set.Pairs) != 1 || set.Pairs[0].HE.Path != filepath.Join(he, "a.tif") {
		t.Errorf("pairs %+v", set.Pairs)
	}
}
