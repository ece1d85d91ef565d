package hfconfig_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/internal/hfconfig"
)

type config struct {
	Width  int           `json:"width"`
	Heads  unet.PerLevel `json:"heads"`
	Linear bool          `json:"linear"`
}

func (c config) Validate() error {
	return errors.Join(hfconfig.Positive(map[string]int{"width": c.Width}), c.Heads.Check("heads", 3))
}

var fixed = hfconfig.Fixed{"act": {"silu", "swish"}, "extra": {nil}, "scale": {1}}

func load(t *testing.T, text string) (config, error) {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return hfconfig.Load(path, config{Width: 5, Heads: unet.PerLevel{8}}, fixed)
}

func TestLoad(t *testing.T) {
	c, err := load(t, `{"width": null, "heads": [1, 2, 3], "act": "swish", "extra": null, "scale": 1.0, "unknown": {}}`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config{Width: 5, Heads: unet.PerLevel{1, 2, 3}}, c); diff != "" {
		t.Error(diff)
	}
	if c.Heads.At(2) != 3 || (unet.PerLevel{7}).At(2) != 7 {
		t.Error("a level has another number")
	}
}

// What asks for another network is refused, all of it at once, with the key.
func TestErrors(t *testing.T) {
	for text, want := range map[string][]string{
		`[]`:                          {"config.json", "not a JSON object"},
		`{"width": "wide"}`:           {"width", `"wide"`, "an integer"},
		`{"heads": "many"}`:           {"heads", "a number or a list of numbers"},
		`{"act": "gelu", "extra": 1}`: {`act: "gelu" is not supported: want "silu" or "swish"`, "extra: 1 is not supported: want null"},
		`{"scale": 2}`:                {"scale: 2 is not supported: want 1"},
		`{"width": 0, "heads": [1]}`:  {"width: 0: want 1 or more"},
		`{"heads": [1, 2]}`:           {"heads: 2 numbers for 3 levels"},
		`{"heads": [1, 2, 0]}`:        {"heads: [1 2 0]: want numbers of 1 or more"},
	} {
		_, err := load(t, text)
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error does not say %q: %v", text, w, err)
			}
		}
	}
}
