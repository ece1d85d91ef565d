package demo_test

import (
	"io/fs"
	"testing"

	"github.com/histdist/histdist/experiments/demo"
)

// The configurations of the demonstration's networks have no weights, and are still found by their earlier name.
func TestFolders(t *testing.T) {
	for name, want := range map[string]struct{ trained, noted bool }{
		"demo": {true, false}, "demo-architecture": {false, false}, "demo-model": {false, true},
	} {
		folder, note := demo.Folder(name)
		if folder == nil {
			t.Errorf("no folder %s", name)
			continue
		}
		_, err := fs.Stat(folder, "unet/diffusion_pytorch_model.safetensors")
		if trained := err == nil; trained != want.trained || (note != "") != want.noted {
			t.Errorf("%s: trained %v, note %q", name, trained, note)
		}
	}
	if folder, _ := demo.Folder("er"); folder != nil {
		t.Error("er is a folder")
	}
}
