package evaluate_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
)

// The folders of an evaluation may be links, have links and rubbish in them, and be in one another; names are compared
// in NFC, extensions don't count.
func TestFindPairsIn(t *testing.T) {
	const composed, decomposed = "\u00e4", "a\u0308"
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, name := range []string{
		"set/a.png", "set/" + composed + ".TIF", "set/.ipynb_checkpoints/a-checkpoint.png", "store/b.png",
		"set/fake/a.JPG", "set/fake/" + decomposed + ".png", "set/fake/more/b.png",
		"he/a.png", "he/" + composed + ".png", "he/__MACOSX/a.png",
	} {
		save(t, at(name), imagefile.New(8, 8))
	}
	kind := func(k imagefile.Kind) imagefile.WriteOptions {
		return imagefile.WriteOptions{Provenance: []imagefile.Pair{{Key: imagefile.KeyKind, Value: string(k)}}}
	}
	for name, k := range map[string]imagefile.Kind{
		"set/fake/a-panel.png": imagefile.Panel,
		"he/stains/a.png":      imagefile.VirtualStain,
	} {
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := imagefile.Write(at(name), imagefile.New(8, 8), kind(k)); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{
		"set/more": "../store", "real": "set", "set/loop": ".",
		"he/gone.png": "nowhere",
	} {
		if err := os.Symlink(to, at(from)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := evaluate.FindMatches(t.Context(), at("real"), at("set/fake"), at("he"), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []evaluate.Match{
		{Name: "a", Real: at("real/a.png"), Virtual: at("set/fake/a.JPG"), HE: at("he/a.png")},
		{Name: "more/b", Real: at("real/more/b.png"), Virtual: at("set/fake/more/b.png")},
		{
			Name: composed, Real: at("real/" + composed + ".TIF"), Virtual: at("set/fake/" + decomposed + ".png"),
			HE: at("he/" + composed + ".png"),
		},
	}
	if diff := cmp.Diff(want, p.List); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]evaluate.Missing{{Path: at("real/more/b.png"), Folder: at("he")}}, p.Missing); diff != "" {
		t.Error(diff)
	}
	if len(p.Unreadable) != 1 || p.Unreadable[0].Path != at("he/gone.png") {
		t.Errorf("unreadable: %v", p.Unreadable)
	}
}
