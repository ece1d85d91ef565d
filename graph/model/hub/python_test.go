package hub_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/hubtest"
)

// pythonVariable names a Python that has huggingface_hub, to check that both use one cache.
const pythonVariable = "HISTDIST_HUGGINGFACE_PYTHON"

// python runs a program with the server and the cache of the test, and returns what it prints.
func python(t *testing.T, program string) string {
	t.Helper()
	command := os.Getenv(pythonVariable)
	if command == "" {
		t.Skipf("%s names no Python with huggingface_hub", pythonVariable)
	}
	cmd := exec.Command(command, "-c", "from huggingface_hub import *\nimport os\n"+program)
	// To Python an empty variable is a path.
	set := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasSuffix(v, "=") })
	cmd.Env = append(set, "HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_TELEMETRY=1",
		"HF_HUB_DISABLE_UPDATE_CHECK=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// What Python has downloaded is found and not downloaded again.
func TestPythonFirst(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	python(t, `snapshot_download("org/sd", allow_patterns=["unet/*"])`)
	python(t, `snapshot_download("org/vit")`)
	s.Forget()
	pull(t, c, "org/vit")
	if diff := cmp.Diff([]string{}, s.Fetched()); diff != "" {
		t.Errorf("org/vit: downloaded again (-want +got):\n%s", diff)
	}
	folder := pull(t, c, "org/sd")
	if got := s.Fetched(); slices.Contains(got, unet) || !slices.Contains(got, "tokenizer/vocab.json") {
		t.Errorf("org/sd: downloaded %v, want all but unet", got)
	}
	if found, err := weights.FindModel("org/sd"); err != nil || found != folder {
		t.Errorf("found %q, %v, want %s", found, err, folder)
	}
}

// Python finds what was pulled, with and without the server.
func TestPythonAfterwards(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	sd, vit := pull(t, c, "org/sd"), pull(t, c, "org/vit")
	s.Forget()
	got := python(t, `
print(snapshot_download("org/sd", local_files_only=True))
print(snapshot_download("org/vit", local_files_only=True))
print(hf_hub_download("org/vit", "model.safetensors", local_files_only=True))
print(try_to_load_from_cache("org/sd", "vae/config.json"))`)
	want := strings.Join([]string{
		sd, vit, filepath.Join(vit, "model.safetensors"), filepath.Join(sd, "vae", "config.json"), "",
	}, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, r := range s.Requests(false) {
		if strings.Contains(r.Path, "org/") {
			t.Errorf("%+v although only the cache may be used", r)
		}
	}
	// The server is asked for the list, and for the files alone that were not needed.
	python(t, `snapshot_download("org/vit")`)
	python(t, `snapshot_download("org/sd", allow_patterns=["unet/config.json", "unet/*model.safetensors", "vae/*"])`)
	for _, name := range s.Fetched() {
		if slices.Contains(pipeline, name) || slices.Contains([]string{"config.json", "model.safetensors"}, name) {
			t.Errorf("Python downloaded %s again", name)
		}
	}
	report := python(t, `
i = scan_cache_dir(os.environ["HF_HUB_CACHE"])
print(i.warnings, sorted(r.repo_id for r in i.repos), sorted(ref for r in i.repos for ref in r.refs))
print(all(f.blob_path.parent.name == "blobs" for r in i.repos for v in r.revisions for f in v.files))`)
	if want := "[] ['org/sd', 'org/vit'] ['main', 'main']\nTrue\n"; report != want {
		t.Errorf("scan: %q, want %q", report, want)
	}
}

// A process of Python's that downloads a content keeps ours from it, and the reverse: they use one lock.
func TestPythonLock(t *testing.T) {
	s, came, release := held(t, "1024-2047")
	c := client(t, s, t.TempDir())
	hash := hubtest.Hash(vit, s.Models["org/vit"][vit])
	lock := filepath.Join(c.Cache, ".locks", "models--org--vit", hash+".lock")
	cmd := child(t, c)
	<-came
	got := python(t, `
from huggingface_hub.utils._fixes import WeakFileLock
from filelock import Timeout
try:
    with WeakFileLock(`+"r'"+lock+"'"+`, timeout=0.1): print("free")
except Timeout: print("held")`)
	release()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got != "held\n" {
		t.Errorf("Python finds the lock %q", got)
	}
}
