package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/graph/weights"
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
		want["models--org--sd/snapshots/"+hubtest.Commit+"/"+name] =
			"→ " + strings.Repeat("../", 2+strings.Count(name, "/")) + "blobs/" + hash
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
				content, err := os.ReadFile(filepath.Join(folder, path))
				if err != nil || !bytes.Equal(content, s.Models[test.request.ID][path]) {
					t.Errorf("%s: other content, %v", path, err)
				}
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

const unet = "unet/diffusion_pytorch_model.safetensors"

func TestRanges(t *testing.T) {
	s := hubtest.New(t, models())
	pull(t, client(t, s, t.TempDir()), "org/sd")
	if diff := cmp.Diff(ranges(10*part+7), asked(s, unet)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := asked(s, "text_encoder/model.safetensors"); !slices.Equal(got, []string{""}) {
		t.Errorf("a file of one part: %q, want one request", got)
	}
}

func TestServerWithoutRanges(t *testing.T) {
	s := hubtest.New(t, models())
	s.NoRanges = true
	folder := pull(t, client(t, s, t.TempDir()), "org/sd")
	if diff := cmp.Diff([]string{"", "0-1023"}, asked(s, unet)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	content, err := os.ReadFile(filepath.Join(folder, unet))
	if err != nil || !bytes.Equal(content, s.Models["org/sd"][unet]) {
		t.Errorf("other content, %v", err)
	}
}

// The token goes to the endpoint and not to the server that it redirects to.
func TestToken(t *testing.T) {
	s := hubtest.New(t, models())
	s.Token = "hf_secret"
	for name, set := range map[string]func(t *testing.T){
		"variable": func(t *testing.T) { t.Setenv("HF_TOKEN", " hf_secret\n") },
		"old name": func(t *testing.T) { t.Setenv("HUGGING_FACE_HUB_TOKEN", "hf_secret") },
		"file": func(t *testing.T) {
			write(t, filepath.Join(os.Getenv("HF_HOME"), "token"), "hf_secret\n")
		},
		"path": func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mine")
			t.Setenv("HF_TOKEN_PATH", path)
			write(t, path, "hf_secret")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.Forget()
			cache := t.TempDir()
			client(t, s, cache)
			set(t)
			c, err := hub.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			pull(t, c, "org/sd")
			redirected := 0
			for _, r := range s.Requests(false) {
				if r.CDN {
					redirected++
				}
				if sent := r.Authorization != ""; sent == r.CDN || sent && r.Authorization != "Bearer hf_secret" {
					t.Errorf("%+v", r)
				}
			}
			if redirected == 0 {
				t.Error("nothing was redirected")
			}
			t.Setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
			if c, err := hub.New(nil); err != nil || c.Token != "" {
				t.Errorf("token %q although it is disabled, %v", c.Token, err)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestOffline(t *testing.T) {
	s := hubtest.New(t, models())
	client(t, s, t.TempDir())
	for _, v := range []string{"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} {
		t.Setenv(v, "1")
		if _, err := hub.New(nil); err == nil || !strings.Contains(err.Error(), v) {
			t.Errorf("%s: %v", v, err)
		}
		t.Setenv(v, "")
	}
	t.Setenv("HF_ENDPOINT", "huggingface.co")
	if _, err := hub.New(nil); err == nil || !strings.Contains(err.Error(), "HF_ENDPOINT") {
		t.Errorf("an address without https: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	answer := func(status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			hubtest.Fail(w, status, code, message)
			return true
		}
	}
	for name, test := range map[string]struct {
		request hub.Request
		server  func(s *hubtest.Server)
		token   string
		is      error
		words   []string
	}{
		"gated, no token": {
			hub.Request{ID: "org/vit"},
			func(s *hubtest.Server) { s.Token = "right" }, "", hub.ErrGated,
			[]string{"accept its conditions on http://", "/org/vit", "HF_TOKEN", "settings/tokens"},
		},
		"gated, another's token": {
			hub.Request{ID: "org/vit"},
			func(s *hubtest.Server) { s.Token = "right" }, "wrong", hub.ErrGated,
			[]string{"your token has no access", "/org/vit", "fine-grained"},
		},
		"invalid token": {
			hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
				s.Before = answer(http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
			}, "old", nil, []string{"the token isn't valid", "settings/tokens"},
		},
		"forbidden": {
			hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
				s.Before = answer(http.StatusForbidden, "", "from this country")
			}, "", nil, []string{"no access", "from this country"},
		},
		"no such model": {hub.Request{ID: "org/none"}, nil, "", hub.ErrNotFound, []string{"private", "HF_TOKEN"}},
		"no such model for this user": {
			hub.Request{ID: "org/none"}, nil, "mine", hub.ErrNotFound, []string{"not for your token"},
		},
		"no such revision": {
			hub.Request{ID: "org/vit", Revision: "v2"}, nil, "", hub.ErrNotFound, []string{"revision v2", "there are: main, v1"},
		},
		"no such variant": {
			hub.Request{ID: "org/sd", Variant: "fp8"}, nil, "", nil, []string{"variant fp8", "there are: fp16, non_ema"},
		},
		"no weights": {hub.Request{ID: "org/flax"}, nil, "", nil, []string{"want .safetensors or .bin", "flax_model.msgpack"}},
		"no model":   {hub.Request{ID: "org/dataset"}, nil, "", nil, []string{"model_index.json", "README.md, images.zip"}},
		"no server of models": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = func(w http.ResponseWriter, _ *http.Request) bool {
				_, _ = io.WriteString(w, "<html>please log in")
				return true
			}
		}, "", nil, []string{"HF_ENDPOINT", "log"}},
		"another page": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = answer(http.StatusNotFound, "", "")
		}, "", hub.ErrNotFound, []string{"404 Not Found"}},
		"a file is gone": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/config.json") {
					hubtest.Fail(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
					return true
				}
				return false
			}
		}, "", nil, []string{"config.json", "Entry not found"}},
		"a busy server": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = answer(http.StatusServiceUnavailable, "", "busy")
		}, "", nil, []string{"503", "busy", "after 5 tries"}},
		"another content at the file's address": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Hash = func(name, hash string) string {
				if hubtest.IsLarge(name) {
					return strings.Repeat("0", 64)
				}
				return hash
			}
		}, "", nil, []string{"model.safetensors", "mirror"}},
		"a wrong small file": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Hash = func(name, hash string) string {
				if name == "config.json" {
					return strings.Repeat("0", 40)
				}
				return hash
			}
		}, "", hub.ErrHash, []string{"config.json", strings.Repeat("0", 40)}},
		"a wrong large file": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Host == strings.TrimPrefix(s.CDN, "http://") {
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(random(99, 3*part)))
					return true
				}
				return false
			}
		}, "", hub.ErrHash, []string{"model.safetensors"}},
		"a large file of another size": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Host == strings.TrimPrefix(s.CDN, "http://") {
					http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(random(99, 3*part+1)))
					return true
				}
				return false
			}
		}, "", nil, []string{"model.safetensors", "bytes 0-1023/3073"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.New(t, models())
			if test.server != nil {
				test.server(s)
			}
			c := client(t, s, t.TempDir())
			c.Token = test.token
			refuse(t, c, test.request, test.is, test.words...)
			if left, err := filepath.Glob(filepath.Join(c.Cache, "*", "blobs", "*"+hub.Incomplete)); err != nil ||
				errors.Is(test.is, hub.ErrHash) && slices.ContainsFunc(left, func(p string) bool {
					return strings.Contains(p, hubtest.Hash("model.safetensors", s.Models["org/vit"]["model.safetensors"]))
				}) {
				t.Errorf("a wrong content is left: %v, %v", left, err)
			}
		})
	}
}

// Nothing answers at the address.
func TestUnreachable(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	c.Endpoint = "http://127.0.0.1:1"
	refuse(t, c, hub.Request{ID: "org/vit"}, nil, "can't be reached", "HTTPS_PROXY", "HF_ENDPOINT")
}

// Lists that would lead out of the cache are refused.
func TestHostileLists(t *testing.T) {
	for name, list := range map[string]string{
		"a path":         `[{"type":"file","path":"config.json","size":1,"oid":"%[1]s"},{"type":"file","path":"..\\x.json","size":1,"oid":"%[1]s"}]`,
		"a colon":        `[{"type":"file","path":"config.json","size":1,"oid":"%[1]s"},{"type":"file","path":"c:x.json","size":1,"oid":"%[1]s"}]`,
		"a hash":         `[{"type":"file","path":"config.json","size":1,"oid":"../../x"}]`,
		"a negative":     `[{"type":"file","path":"config.json","size":-1,"oid":"%[1]s"}]`,
		"an immense one": `[{"type":"file","path":"config.json","size":1,"oid":"%[1]s"},{"type":"file","path":"model.safetensors","size":1,"lfs":{"size":9e18,"oid":"%[1]s"}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.New(t, models())
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/tree/") {
					return false
				}
				text := strings.ReplaceAll(list, "%[1]s", strings.Repeat("0", 40))
				_, _ = io.WriteString(w, strings.Replace(text, "9e18", "9000000000000000000", 1))
				return true
			}
			refuse(t, client(t, s, t.TempDir()), hub.Request{ID: "org/vit"}, nil)
			if got := s.Fetched(); len(got) > 0 {
				t.Errorf("fetched %v", got)
			}
		})
	}
	s := hubtest.New(t, models())
	s.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, `{"sha":"../../etc"}`)
		return true
	}
	refuse(t, client(t, s, t.TempDir()), hub.Request{ID: "org/vit"}, nil, "commit")
}

func FuzzCheckFile(f *testing.F) {
	f.Add("unet/config.json", int64(1), strings.Repeat("a", 40))
	f.Add("../x", int64(-1), "..")
	f.Fuzz(func(t *testing.T, path string, size int64, hash string) {
		if hub.CheckFile(path, size, hash) != nil {
			return
		}
		if !filepath.IsLocal(path) || size < 0 || strings.Trim(hash, "0123456789abcdef") != "" || len(hash) < 40 {
			t.Errorf("%q, %d, %q are accepted", path, size, hash)
		}
	})
}

// A server that is asked too often says how long to wait, and is obeyed unless that is too long.
func TestRetryAfter(t *testing.T) {
	for after, fails := range map[string]bool{"7": false, "later": false, "": false, "3600": true} {
		s := hubtest.New(t, models())
		var refused atomic.Int32
		s.Before = func(w http.ResponseWriter, _ *http.Request) bool {
			if refused.Add(1) > 2 {
				return false
			}
			w.Header().Set("Retry-After", after)
			hubtest.Fail(w, http.StatusTooManyRequests, "", "slow down")
			return true
		}
		var waits []time.Duration
		c := client(t, s, t.TempDir()).Hook(hub.Hooks{Wait: func(_ context.Context, d time.Duration) error {
			waits = append(waits, d)
			return nil
		}})
		if fails {
			refuse(t, c, hub.Request{ID: "org/vit"}, nil, "wait for 1h0m0s")
			continue
		}
		pull(t, c, "org/vit")
		least := []time.Duration{time.Second, 2 * time.Second}
		if after == "7" {
			least = []time.Duration{7 * time.Second, 7 * time.Second}
		}
		if len(waits) != 2 || waits[0] < least[0] || waits[1] < least[1] || waits[1] > 8*time.Second {
			t.Errorf("Retry-After %q: waits %v, want at least %v", after, waits, least)
		}
	}
}

// breakOff answers a range with some of its bytes and closes the connection.
func breakOff(t *testing.T, w http.ResponseWriter, r *http.Request, content []byte) {
	var from, to int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
		t.Errorf("range %q: %v", r.Header.Get("Range"), err)
		return
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(content)))
	w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(content[from:min(from+100, to)])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// After a dropped connection a part goes on where it was.
func TestDroppedConnections(t *testing.T) {
	s := hubtest.New(t, models())
	var dropped atomic.Bool
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, unet) || !strings.HasSuffix(r.URL.RawQuery, "secret") {
			return false
		}
		if dropped.Swap(true) {
			return false
		}
		breakOff(t, w, r, s.Models["org/sd"][unet])
		return true
	}
	folder := pull(t, client(t, s, t.TempDir()), "org/sd")
	content, err := os.ReadFile(filepath.Join(folder, unet))
	if err != nil || !bytes.Equal(content, s.Models["org/sd"][unet]) {
		t.Errorf("other content, %v", err)
	}
	got := asked(s, unet)
	if !slices.Contains(got, "0-1023") || !slices.Contains(got, "100-1023") {
		t.Errorf("asked for %v, want 0-1023 and then 100-1023", got)
	}
}

// A server that never comes to an end is given up, but not as long as it gets on.
func TestTries(t *testing.T) {
	s := hubtest.New(t, models())
	var requests atomic.Int32
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, unet) || !strings.HasSuffix(r.URL.RawQuery, "secret") {
			return false
		}
		if requests.Add(1) > hub.Tries+3 { // of the first part, in steps of 100 bytes
			panic(http.ErrAbortHandler)
		}
		breakOff(t, w, r, s.Models["org/sd"][unet])
		return true
	}
	c := client(t, s, t.TempDir())
	refuse(t, c, hub.Request{ID: "org/sd"}, nil, unet, "after 5 tries", "run the command again")
	if n := requests.Load(); n != hub.Tries+3+hub.Tries-1 { // the last that got on is the first failure
		t.Errorf("%d requests, want %d", n, 2*hub.Tries+2)
	}
}

// silent is a network in which the first file's content begins and then nothing comes any more.
type silent struct {
	http.RoundTripper
	silenced atomic.Bool
}

func (n *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Range") == "" || !n.silenced.CompareAndSwap(false, true) {
		return n.RoundTripper.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusPartialContent, Request: r, Body: quiet{r.Context()},
		Header: http.Header{"Content-Range": {"bytes 0-1023/3072"}},
	}, nil
}

type quiet struct{ ctx context.Context }

func (q quiet) Read([]byte) (int, error) {
	<-q.ctx.Done()
	return 0, q.ctx.Err()
}

func (q quiet) Close() error { return nil }

// served answers requests by a handler, without a network.
type served struct{ http.Handler }

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	s.ServeHTTP(w, r)
	return &http.Response{
		StatusCode: w.status, Header: w.header, Request: r, ContentLength: int64(w.Len()), Body: io.NopCloser(&w.Buffer),
	}, nil
}

type recorder struct {
	bytes.Buffer
	header http.Header
	status int
}

func (w *recorder) Header() http.Header    { return w.header }
func (w *recorder) WriteHeader(status int) { w.status = status }

// A server that sends nothing for a while is asked again.
func TestSilence(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		n := &silent{RoundTripper: served{s.Handler()}}
		c.Hook(hub.Hooks{Transport: n})
		began := time.Now()
		if _, err := c.Pull(t.Context(), hub.Request{ID: "org/vit"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != hub.Stalled || !n.silenced.Load() {
			t.Errorf("took %v, want %v", took, hub.Stalled)
		}
	})
}

// A full disk is named, and what is there is kept for the next run.
func TestFullDisk(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	full := errors.Join(&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	c.Hook(hub.Hooks{Write: func(b []byte, at int64) error {
		if at >= 4*part && len(b) > 1 {
			return full
		}
		return nil
	}})
	refuse(t, c, hub.Request{ID: "org/sd", Folder: isPart}, hub.ErrSpace, "kept")
	s.Forget()
	d := client(t, s, c.Cache)
	var first, last hub.Progress
	d.Observe = func(event any) error {
		last = event.(hub.Progress)
		if first.Total == 0 {
			first = last
		}
		return nil
	}
	pull(t, d, "org/sd")
	if got := asked(s, unet); slices.Contains(got, "0-1023") { // it came alone, before the disk was full
		t.Errorf("%v were downloaded twice", got)
	}
	if last.Done != last.Total || last.Received >= last.Total || last.Received == 0 || first.Total != last.Total {
		t.Errorf("progress %+v, then %+v", first, last)
	}
}

func TestSpace(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir()).Hook(hub.Hooks{Free: func(string) (uint64, error) { return 5000, nil }})
	refuse(t, c, hub.Request{ID: "org/sd", Folder: isPart}, hub.ErrSpace, "0.0 MB", "HF_HOME", c.Cache)
	if got := s.Fetched(); len(got) > 0 {
		t.Errorf("fetched %v", got)
	}
	c.Hook(hub.Hooks{Free: func(string) (uint64, error) { return 0, errors.ErrUnsupported }})
	pull(t, c, "org/sd")
	c.Hook(hub.Hooks{Free: func(string) (uint64, error) { return 0, nil }}) // nothing is needed
	pull(t, c, "org/sd")
}

// What an earlier run left damaged is downloaded again.
func TestDamagedParts(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	content := s.Models["org/vit"]["model.safetensors"]
	blob := filepath.Join(c.Cache, "models--org--vit", "blobs", hubtest.Hash("model.safetensors", content))
	for name, left := range map[string][]byte{
		"a part":       append(random(98, 3*part), 1, 0, 0),
		"all parts":    append(random(98, 3*part), 1, 1, 1),
		"without name": random(98, 3*part),
		"another size": random(98, 17),
	} {
		if err := errors.Join(os.RemoveAll(filepath.Dir(filepath.Dir(blob))), os.MkdirAll(filepath.Dir(blob), 0o755),
			os.WriteFile(blob+hub.Incomplete, left, 0o644)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(pull(t, c, "org/vit"), "model.safetensors"))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: other content, %v", name, err)
		}
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
