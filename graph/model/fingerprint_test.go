package model_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/golden"
)

// A fingerprint is of the content: all weights, and all that says how they are used.
func TestFingerprint(t *testing.T) {
	fingerprint := func(dir, phikon string) string {
		t.Helper()
		m, err := model.Open(dir, model.Options{Phikon: phikon})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		id, err := m.Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	tiny, phikon := golden.Path(t, "tiny"), golden.Path(t, "tiny-phikon")
	want := fingerprint(tiny, phikon)
	// flip changes the last bit of a number in the middle of a file's data, a space more changes a text.
	flip := func(text []byte) []byte {
		data := text[8+binary.LittleEndian.Uint64(text):]
		data[len(data)*2/3] ^= 1
		return text
	}
	space := func(text []byte) []byte { return append(text, '\n') }
	keep := func(text []byte) []byte { return text }
	for name, test := range map[string]struct {
		file   string
		change func([]byte) []byte
		same   bool
	}{
		"time of change": {"unet/config.json", keep, true},
		"model card":     {"README.md", space, true},
		"U-Net":          {"unet/diffusion_pytorch_model.safetensors", flip, false},
		"VAE":            {"vae/diffusion_pytorch_model.safetensors", flip, false},
		"text encoder":   {"text_encoder/model.safetensors", flip, false},
		"ViT":            {"phikon/model.safetensors", flip, false},
		"U-Net's layout": {"unet/config.json", space, false},
		"noise schedule": {"scheduler/scheduler_config.json", space, false},
		"preprocessing":  {"phikon/preprocessor_config.json", space, false},
		"tokenizer":      {"tokenizer/merges.txt", space, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, tiny)
			if err := os.Rename(copyOf(t, phikon), filepath.Join(dir, "phikon")); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, filepath.FromSlash(test.file))
			text, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, test.change(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := fingerprint(dir, ""); (got == want) != test.same {
				t.Errorf("fingerprint %s, of the original %s", got, want)
			}
		})
	}
}
