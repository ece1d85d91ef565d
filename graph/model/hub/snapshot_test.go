package hub_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/internal/hubtest"
)

// Where there are no symbolic links, hard links or copies take their place.
func TestWithoutLinks(t *testing.T) {
	s := hubtest.New(t, models())
	for name, change := range map[string]func(c *hub.Client){
		"not possible": func(c *hub.Client) {
			c.Hook(hub.Hooks{Symlink: func(string, string) error { return syscall.EPERM }})
		},
		"not wanted": func(c *hub.Client) { c.NoLinks = true },
	} {
		c := client(t, s, t.TempDir())
		change(c)
		folder := pull(t, c, "org/sd")
		for path, text := range tree(t, folder) {
			if text != string(s.Models["org/sd"][path]) {
				t.Errorf("%s: %s: other content", name, path)
			}
		}
	}
}

// Python moves contents into the snapshot where it can make no links: they are not downloaded again.
func TestContentsInTheSnapshot(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	snapshot := filepath.Join(c.Cache, "models--org--vit", "snapshots", hubtest.Commit)
	write(t, filepath.Join(snapshot, "model.safetensors"), string(s.Models["org/vit"]["model.safetensors"]))
	write(t, filepath.Join(snapshot, "config.json"), "of another size")
	pull(t, c, "org/vit")
	if diff := cmp.Diff([]string{"config.json", "preprocessor_config.json"}, s.Fetched()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := tree(t, snapshot)["config.json"]; !strings.HasPrefix(text, "→ ") {
		t.Errorf("config.json: %s", text)
	}
}
