package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/internal/hubtest"
)

// part is the size of parts in tests, in bytes.
const part = 1 << 10

// random makes contents that differ.
func random(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b) // never fails
	return b
}

// models are a pipeline as on huggingface.co, with much that isn't needed, and a vision transformer.
func models() map[string]map[string][]byte {
	text := func(s string) []byte { return []byte(s) }
	return map[string]map[string][]byte{
		"org/sd": {
			".gitattributes": text("*.bin"), "README.md": text("a card"), "model_index.json": text(`{"_class_name":"P"}`),
			"v1.safetensors": random(1, 100), "v1.ckpt": random(2, 100), "image.png": random(3, 100),
			"unet/config.json": text(`{"a":1}`), "unet/diffusion_pytorch_model.safetensors": random(4, 10*part+7),
			"unet/diffusion_pytorch_model.bin": random(5, 100), "unet/diffusion_pytorch_model.non_ema.safetensors": random(6, 100),
			"unet/diffusion_pytorch_model.fp16.safetensors": random(7, 5*part),
			"vae/config.json": text(`{"b":1}`), "vae/diffusion_pytorch_model.bin": random(8, 100),
			"text_encoder/config.json": text(`{"c":1}`), "text_encoder/model.safetensors": random(9, part),
			"text_encoder/flax_model.msgpack": random(10, 100),
			"tokenizer/merges.txt":            text("a b"), "tokenizer/vocab.json": text(`{}`),
			"scheduler/scheduler_config.json": text(`{"d":1}`),
			"safety_checker/config.json":      text(`{"e":1}`), "safety_checker/model.safetensors": random(11, 100),
			"unet/deeper/config.json": text(`{"f":1}`),
		},
		"org/vit": {
			"config.json": text(`{}`), "preprocessor_config.json": text(`{"x":1}`), "empty.txt": {},
			"model.safetensors": random(12, 3*part), "pytorch_model.bin": random(13, 3*part), "figures/a.png": random(14, 9),
		},
		"org/shards": {
			"config.json": text(`{}`), "same.json": text(`{}`),
			"model.safetensors.index.json": text(
				`{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`),
			"model-00001-of-00002.safetensors": random(15, 2*part+1), "model-00002-of-00002.safetensors": random(16, 10),
		},
		"org/flax":    {"config.json": text(`{}`), "flax_model.msgpack": random(17, 9)},
		"org/dataset": {"README.md": text("x"), "images.zip": random(18, 9)},
	}
}

// pipeline are the files of org/sd that are needed.
var pipeline = []string{
	"README.md", "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json",
	"text_encoder/model.safetensors", "tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json",
	"unet/diffusion_pytorch_model.safetensors", "vae/config.json", "vae/diffusion_pytorch_model.bin",
}

const unet = "unet/diffusion_pytorch_model.safetensors"

func isPart(folder string) bool { return folder != "safety_checker" }

// client returns one of a server and a cache, with parts that are small and waits that take no time.
func client(t *testing.T, s *hubtest.Server, cache string) *hub.Client {
	t.Helper()
	for _, v := range []string{
		"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_DISABLE_IMPLICIT_TOKEN",
		"HF_HUB_DISABLE_SYMLINKS", "HF_TOKEN", "HF_TOKEN_PATH",
	} {
		t.Setenv(v, "")
	}
	t.Setenv("HF_ENDPOINT", s.URL+"/")
	t.Setenv("HF_HOME", t.TempDir())
	t.Setenv("HF_HUB_CACHE", cache)
	c, err := hub.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Hook(hub.Hooks{Part: part, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
}

func pull(t *testing.T, c *hub.Client, id string) string {
	t.Helper()
	folder, err := c.Pull(t.Context(), hub.Request{ID: id, Folder: isPart})
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// refuse checks that a model isn't pulled, that the error has certain words, and that no snapshot has appeared.
func refuse(t *testing.T, c *hub.Client, r hub.Request, is error, words ...string) {
	t.Helper()
	folder, err := c.Pull(t.Context(), r)
	if err == nil {
		t.Fatalf("%+v: pulled to %s", r, folder)
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("error %v, want one that is %v", err, is)
	}
	for _, w := range append(words, r.ID) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want one with %q", err, w)
		}
	}
	if found, err := filepath.Glob(filepath.Join(c.Cache, "*", "snapshots", "*")); err != nil || len(found) > 0 {
		t.Errorf("snapshots %v, %v", found, err)
	}
}

// holds checks that a file of a model's folder has the content that the server has.
func holds(t *testing.T, s *hubtest.Server, id, folder, name string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil || !bytes.Equal(content, s.Models[id][name]) {
		t.Errorf("%s has another content, %v", name, err)
	}
}

// tree lists what is in a folder: of links the targets, of files the contents.
func tree(t *testing.T, folder string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if e.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			list[filepath.ToSlash(name)] = "→ " + filepath.ToSlash(target)
			return err
		}
		text, err := os.ReadFile(path)
		list[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// ranges are those of a file's parts.
func ranges(size int64) []string {
	var list []string
	for at := int64(0); at < size; at += part {
		list = append(list, fmt.Sprintf("%d-%d", at, min(at+part, size)-1))
	}
	slices.Sort(list)
	return list
}

// asked lists the ranges of a file that a server was asked for.
func asked(s *hubtest.Server, name string) []string {
	var list []string
	for _, r := range s.Requests(true) {
		if strings.HasSuffix(r.Path, "/"+name) {
			list = append(list, r.Range)
		}
	}
	slices.Sort(list)
	return list
}
