package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/internal/golden"
)

// A preset of the model's own brings its sampler and its U-Net, which alone is opened, and stains say so.
func TestPresetWithItsOwnUNet(t *testing.T) {
	tiny, phikon := golden.Path(t, "tiny"), golden.Path(t, "tiny-phikon")
	t.Chdir(t.TempDir())
	purpose := `{"presets": {"fast": {"unet": "unet-fast", "steps-inversion": 0, "steps-translation": 2,
		"solver": "consistency"}}}`
	for _, err := range []error{
		os.CopyFS("model", os.DirFS(tiny)),
		os.Rename(filepath.Join("model", "unet"), filepath.Join("model", "unet-fast")),
		os.WriteFile(filepath.Join("model", "histdist.json"), []byte(purpose), 0o644),
		imagefile.Write("he.png", imagefile.New(16, 16), imagefile.WriteOptions{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	translate := func(preset string) (int, string) {
		var out strings.Builder
		code := run(t.Context(), []string{
			"translate", "--model", "model", "--phikon", phikon, "--input", "he.png", "--output", "out.png",
			"--preset", preset, "--normalize", "none",
		}, &out, &out)
		return code, out.String()
	}
	code, said := translate("fast")
	if code != exitOK || !strings.Contains(said, "unet-calls=2") || !strings.Contains(said, "U-Net unet-fast") {
		t.Fatalf("%d: %s", code, said)
	}
	made, err := origin.Read("out.png")
	solver, steps := string(made.Settings["solver"]), string(made.Settings["steps-inversion"])
	if err != nil || solver != `"consistency"` || steps != "0" {
		t.Errorf("origin %s, %v", made.Settings, err)
	}
	code, said = translate("paper")
	if code != exitFailed || !strings.Contains(said, filepath.Join("unet", "config.json")) {
		t.Errorf("without the usual U-Net: %d: %s", code, said)
	}
}
