package hub_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/hubtest"
)

// The cache has the layout of huggingface_hub, and nothing but what is needed. A second pull downloads nothing.
func TestPull(t *testing.T) {
	s := hubtest.New(t, models())
	s.PageSize = 3
	c := client(t, s, filepath.Join(t.TempDir(), "new", "cache"))
	folder := pull(t, c, "org/sd")
	want := map[string]string{"models--org--sd/refs/main": hubtest.Commit}
	for _, name := range pipeline {
		content := s.Models["org/sd"][name]
		hash := hubtest.Hash(name, content)
		want["models--org--sd/blobs/"+hash] = string(content)
		link := "→ " + strings.Repeat("../", 2+strings.Count(name, "/")) + "blobs/" + hash
		if runtime.GOOS == "windows" { // without developer mode: hard links
			link = string(content)
		}
		want["models--org--sd/snapshots/"+hubtest.Commit+"/"+name] = link
	}
	got := tree(t, c.Cache)
	if !strings.HasPrefix(got["CACHEDIR.TAG"], "Signature: 8a477f597d28d172789f06886806bc55\n") {
		t.Errorf("tag %q", got["CACHEDIR.TAG"])
	}
	for name := range got {
		if strings.HasPrefix(name, ".locks/models--org--sd/") || name == "CACHEDIR.TAG" {
			delete(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	t.Setenv("HF_HUB_CACHE", c.Cache)
	if found, err := weights.FindModel("org/sd"); err != nil || found != folder {
		t.Errorf("found %s, %v, want %s", found, err, folder)
	}
	s.Forget()
	if again := pull(t, c, "org/sd"); again != folder {
		t.Errorf("%s, then %s", folder, again)
	}
	if diff := cmp.Diff([]string{}, s.Fetched()); diff != "" {
		t.Errorf("fetched again (-want +got):\n%s", diff)
	}
}

func TestChoice(t *testing.T) {
	for name, test := range map[string]struct {
		request hub.Request
		want    []string
	}{
		"a network": {hub.Request{ID: "org/vit"}, []string{"config.json", "empty.txt", "model.safetensors", "preprocessor_config.json"}},
		"shards": {hub.Request{ID: "org/shards"}, []string{
			"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
			"model.safetensors.index.json", "same.json",
		}},
		"a variant that one network has": {hub.Request{ID: "org/sd", Variant: "fp16", Folder: isPart}, append([]string{
			"unet/diffusion_pytorch_model.fp16.safetensors",
		}, slices.DeleteFunc(slices.Clone(pipeline), func(n string) bool {
			return n == "unet/diffusion_pytorch_model.safetensors"
		})...)},
		"a variant of weights without others": {hub.Request{ID: "org/sd", Variant: "non_ema", Folder: func(f string) bool { return f == "unet" }}, []string{
			"README.md", "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.non_ema.safetensors",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.New(t, models())
			c := client(t, s, t.TempDir())
			folder, err := c.Pull(t.Context(), test.request)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for path := range tree(t, folder) {
				got = append(got, path)
				holds(t, s, test.request.ID, folder, path)
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Each revision is a reference or, if it is a commit, none.
func TestRevisions(t *testing.T) {
	for _, revision := range []string{"main", "v1", "refs/pr/1", hubtest.Commit} {
		c := client(t, hubtest.New(t, models()), t.TempDir())
		folder, err := c.Pull(t.Context(), hub.Request{ID: "org/vit", Revision: revision})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(c.Cache, "models--org--vit", "refs", revision))
		if revision == hubtest.Commit {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a reference %q for a commit, %v", text, err)
			}
		} else if string(text) != hubtest.Commit {
			t.Errorf("%s: reference %q, %v", revision, text, err)
		}
		if found, err := weights.FindModel("org/vit@" + revision); err != nil || found != folder {
			t.Errorf("%s: found %q, %v", revision, found, err)
		}
	}
	for _, revision := range []string{"../main", "/main", `a\b`, "a:b"} {
		c := client(t, hubtest.New(t, models()), t.TempDir())
		refuse(t, c, hub.Request{ID: "org/vit", Revision: revision}, nil, "revision", fmt.Sprintf("%q", revision))
	}
}

// Ctrl-C, and an observer's error, end a run soon; the next one goes on.
func TestStopped(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	c.Observe = func(event any) error {
		if e := event.(hub.Progress); e.File == unet && e.Done > 12*part/2 {
			cancel(stop)
		}
		return nil
	}
	if folder, err := c.Pull(ctx, hub.Request{ID: "org/sd", Folder: isPart}); !errors.Is(err, stop) {
		t.Fatalf("%q, %v, want %v", folder, err, stop)
	}
	c.Observe = func(any) error { return stop }
	refuse(t, c, hub.Request{ID: "org/sd"}, stop)
	c.Observe = nil
	s.Forget()
	pull(t, c, "org/sd")
	if got := asked(s, unet); slices.Contains(got, "0-1023") {
		t.Errorf("%v were downloaded twice", got)
	}
}
