package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/openslide"
)

// A user whose folders all tell a name: none of them is in the report for others.
func TestJSONHasNoPathOfTheUser(t *testing.T) {
	const name = "jane.doe"
	root := filepath.Join(t.TempDir(), name, "Slides of Patient Smith")
	for variable, folder := range map[string]string{
		"HOME": "home", "USERPROFILE": "home", "XDG_CACHE_HOME": "cache", "LocalAppData": "cache", "HF_HOME": "models",
		"TMPDIR": "tmp", "HISTDIST_CUDA_LIBRARIES": "cuda", "HISTDIST_NOTE": "notes", "LD_LIBRARY_PATH": "libraries",
		openslide.Variable: "openslide/libopenslide.so.1",
	} {
		t.Setenv(variable, filepath.Join(root, folder))
	}
	t.Setenv("USER", name)
	t.Setenv("HF_TOKEN", "hf_secret")
	model := filepath.Join(root, "models", "hub", "models--smith-lab--er", "blobs")
	own := filepath.Join(root, "cache", "histdist")
	if runtime.GOOS == "darwin" {
		own = filepath.Join(root, "home", "Library", "Caches", "histdist")
	}
	for _, folder := range []string{model, own} {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "weights"), make([]byte, 1000), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(root)

	r := Collect("v1.2.3")
	// What a machine with everything would say.
	r.Host.CPU.Threads.Reason = "from the limit of 2 cores in /sys/fs/cgroup/" + name + "/cpu.max"
	r.CUDA = "yes: driver 580.1 with CUDA 13.0: NVIDIA H200 (9.0, 139.8 GiB)"
	r.CUDALibraries = []string{
		"cuDNN 9.14.0, " + filepath.Join(root, "home", "venv", "lib", "libcudnn.so.9") + ": the newest one",
		"no NCCL: looked in /usr/lib, " + filepath.Join(root, "cuda"),
	}
	r.Speed = &Speed{GFLOPS: 500, Translation: 90 * time.Second}
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{name, "Patient", "Smith", "smith", filepath.Base(filepath.Dir(root)), "hf_secret"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the report has %q:\n%s", secret, text)
		}
	}
	var got struct {
		Histdist, Go, OS, Arch, System, OpenSlide, CUDA string
		CUDALibraries                                   []string `json:"cuda_libraries"`
		Cores                                           int
		Memory                                          uint64 `json:"memory_bytes"`
		Devices, Caches                                 []map[string]any
		Environment, Kernels                            []string
		Speed                                           map[string]float64
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Histdist != "v1.2.3" || got.Go != runtime.Version() || got.OS != runtime.GOOS || got.Arch != runtime.GOARCH ||
		got.System == "" || got.Cores < 1 || len(got.Devices) < 2 || len(got.Kernels) == 0 {
		t.Errorf("facts are missing:\n%s", text)
	}
	wantCaches := []map[string]any{
		{"name": "Hugging Face", "models": 1.0, "bytes": 1000.0}, {"name": "histdist", "bytes": 1000.0},
	}
	if diff := cmp.Diff(wantCaches, got.Caches); diff != "" {
		t.Errorf("caches (-want +got):\n%s", diff)
	}
	for _, variable := range []string{"HF_HOME", "HF_TOKEN", "HISTDIST_CUDA_LIBRARIES", "HISTDIST_NOTE"} {
		if !strings.Contains(strings.Join(got.Environment, " "), variable) {
			t.Errorf("environment %v lacks %s", got.Environment, variable)
		}
	}
	if !strings.Contains(got.OpenSlide, "$"+openslide.Variable) {
		t.Errorf("the report doesn't say that %s is at fault: %s", openslide.Variable, got.OpenSlide)
	}
	if got.CUDA != r.CUDA || !strings.Contains(got.CUDALibraries[0], "libcudnn.so.9: the newest one") {
		t.Errorf("what is no secret is hidden:\n%s", text)
	}
	if want := map[string]float64{"gflops": 500, "translation_seconds": 90}; !cmp.Equal(want, got.Speed) {
		t.Errorf("speed %v, want %v", got.Speed, want)
	}
}

func TestHide(t *testing.T) {
	known := secrets{
		{"/home/jane/huggingface", "$HF_HOME"}, {"/home/jane", "~"}, {`C:\Users\jane`, "~"}, {"jane", "(user)"},
	}
	for _, test := range []struct{ text, want string }{
		{"4.0.0, /usr/lib/x86_64-linux-gnu/libopenslide.so.1", "4.0.0, /usr/lib/x86_64-linux-gnu/libopenslide.so.1"},
		{"4.0.0, /home/jane/venv/libopenslide.so.1", "4.0.0, ~/…/libopenslide.so.1"},
		{"4.0.0, /mnt/smith/libopenslide.so.1", "4.0.0, …/libopenslide.so.1"},
		{"/mnt/My Slides/smith/libx.so can't be loaded: no", "…/libx.so can't be loaded: no"},
		{"looked in /usr/lib and /mnt/smith", "looked in …"},
		{"looked in /usr/lib, /mnt/smith", "looked in /usr/lib, …"},
		{"/home/jane/huggingface/hub", "$HF_HOME/…"},
		{`C:\Users\jane\x.dll`, "~/…/x.dll"},
		{`D:\smith\x.dll, C:\Windows\x.dll`, `…/x.dll, C:\Windows\x.dll`},
		{`\\server\smith\x.txt`, "…"},
		{"500 GFLOP/s on linux/amd64 (jane@host), janet", "500 GFLOP/s on linux/amd64 ((user)@host), janet"},
		{"HISTDIST_OPENSLIDE=off", "HISTDIST_OPENSLIDE=off"},
		{"/", "…"},
	} {
		if got := known.hide(test.text); got != test.want {
			t.Errorf("hide(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}

// The report for the user at the machine says where things are.
func TestString(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HF_HOME", home)
	t.Setenv(openslide.Variable, openslide.Off)
	text := Collect("v1.2.3").String()
	for _, want := range []string{
		"histdist       v1.2.3\n", "system         ", "phikon         model ", "openslide      OpenSlide is not there",
		"HF_HOME", "cache          Hugging Face: " + home,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
