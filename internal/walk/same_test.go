package walk_test

import (
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/internal/walk"
)

func TestSameFile(t *testing.T) {
	root := tree(t, "in/a.png", "in/b.png", "link -> in", "c.png -> in/a.png", "gone -> nowhere")
	for paths, want := range map[[2]string]bool{
		{"in/a.png", "in/a.png"}: true, {"in/a.png", "link/../in/a.png"}: true, {"in/a.png", "c.png"}: true,
		{"in", "link"}: true, {"in/a.png", "in/b.png"}: false, {"gone", "gone"}: false, {"in/a.png", "nowhere"}: false,
	} {
		if got := walk.SameFile(filepath.Join(root, paths[0]), filepath.Join(root, paths[1])); got != want {
			t.Errorf("%v: %t, want %t", paths, got, want)
		}
	}
}
