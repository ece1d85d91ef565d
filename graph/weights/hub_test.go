package weights_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
)

// cached makes a model in a cache of Hugging Face's tools, below root, and returns its folder.
func cached(t *testing.T, root, repository string, ref bool) string {
	t.Helper()
	folder := filepath.Join(root, repository, "snapshots", "0123abcd")
	check(t, os.MkdirAll(folder, 0o755))
	if ref {
		check(t, os.MkdirAll(filepath.Join(root, repository, "refs"), 0o755))
		check(t, os.WriteFile(filepath.Join(root, repository, "refs", "main"), []byte("0123abcd"), 0o644))
		check(t, os.MkdirAll(filepath.Join(root, repository, "snapshots", "another"), 0o755))
	}
	return folder
}

func TestFindModel(t *testing.T) {
	root := t.TempDir()
	t.Chdir(t.TempDir())
	t.Setenv("HOME", filepath.Join(root, "home"))
	t.Setenv("USERPROFILE", filepath.Join(root, "home")) // Windows' HOME
	variables := []string{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}
	for _, c := range []struct {
		env   map[string]string
		cache string
		ref   bool
	}{
		{nil, "home/.cache/huggingface/hub", true},
		{map[string]string{"XDG_CACHE_HOME": "$HOME/xdg"}, "home/xdg/huggingface/hub", true},
		{map[string]string{"XDG_CACHE_HOME": "/nowhere", "HF_HOME": "~/hf"}, "home/hf/hub", false},
		{map[string]string{"HF_HOME": "/nowhere", "HUGGINGFACE_HUB_CACHE": root + "/old"}, "old", true},
		{map[string]string{"HUGGINGFACE_HUB_CACHE": "/nowhere", "HF_HUB_CACHE": root + "/new"}, "new", false},
	} {
		for _, v := range variables {
			t.Setenv(v, c.env[v])
		}
		want := cached(t, filepath.Join(root, c.cache), "models--org--some-model.v1", c.ref)
		got, err := weights.FindModel("org/some-model.v1")
		if err != nil || got != want {
			t.Errorf("%v: %q, %v, want %q", c.env, got, err, want)
		}
		_, err = weights.FindModel("org/absent")
		for _, part := range []string{
			"org/absent", filepath.Join(root, c.cache, "models--org--absent"),
			"nothing is downloaded",
		} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("error %v, want one with %q", err, part)
			}
		}
	}
	for _, id := range []string{"", "a/b/c", "../x", "org/..", "/absent/folder", "a--b"} {
		if id == "org/.." && runtime.GOOS == "windows" {
			continue // it is the current folder there, whether org exists or not
		}
		if got, err := weights.FindModel(id); err == nil {
			t.Errorf("%q: found %s", id, got)
		}
	}
	check(t, os.MkdirAll("org/here", 0o755))
	if got, err := weights.FindModel("org/here"); err != nil || got != "org/here" {
		t.Errorf("a folder: %q, %v", got, err)
	}
}

// A cache whose main points nowhere, or out of the cache, is not followed.
func TestFindModelBadRef(t *testing.T) {
	root := t.TempDir()
	t.Setenv("HF_HUB_CACHE", root)
	for _, revision := range []string{"", "absent", "../../..", ".."} {
		cached(t, root, "models--org--m", true)
		check(t, os.WriteFile(filepath.Join(root, "models--org--m", "refs", "main"), []byte(revision), 0o644))
		if got, err := weights.FindModel("org/m"); err == nil {
			t.Errorf("main %q: found %s", revision, got)
		}
	}
}

func TestReadPipeline(t *testing.T) {
	dir := t.TempDir()
	if _, err := weights.ReadPipeline(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist", err)
	}
	write := func(text string) { check(t, os.WriteFile(filepath.Join(dir, "model_index.json"), []byte(text), 0o644)) }
	write(`{"_class_name": "P", "_diffusers_version": "0.32.1", "requires_safety_checker": false, "force_zeros": [],
		"safety_checker": [null, null], "unet": ["diffusers", "UNet2DConditionModel"]}`)
	p, err := weights.ReadPipeline(dir)
	check(t, err)
	want := weights.Pipeline{Dir: dir, Class: "P", Components: map[string]weights.Component{
		"safety_checker": {}, "unet": {Library: "diffusers", Class: "UNet2DConditionModel"},
	}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := p.Folder("unet"); err != nil || got != filepath.Join(dir, "unet") {
		t.Errorf("%q, %v", got, err)
	}
	for _, name := range []string{"safety_checker", "vae"} {
		if _, err := p.Folder(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that names %s", err, name)
		}
	}
	for _, text := range []string{"[]", "{", "{}", `{"_class_name": 7}`} {
		write(text)
		if _, err := weights.ReadPipeline(dir); err == nil || !strings.Contains(err.Error(), "model_index.json") {
			t.Errorf("%s: error %v, want one that names the file", text, err)
		}
	}
}

// A pipeline that diffusers saved: its networks can be opened by its components' names.
func TestReadPipelineOfDiffusers(t *testing.T) {
	p, err := weights.ReadPipeline(golden.Path(t, "tiny"))
	check(t, err)
	for _, name := range []string{"unet", "vae", "text_encoder"} {
		folder, err := p.Folder(name)
		check(t, err)
		if len(open(t, folder).Tensors()) == 0 {
			t.Errorf("%s has no tensors", name)
		}
	}
}
