// Package doctor collects what `histdist doctor` says of a machine and a build.
//
// [Collect] looks and [Measure] computes for a second; [Report.String] is for the user at the machine, with the paths
// of what was found. [Report.JSON] is for a report of a problem, which others read: private.go keeps paths and names
// of users out of it.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/histdist/histdist/experiments/bench"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/hostinfo"
	"github.com/histdist/histdist/internal/openslide"
	"github.com/histdist/histdist/internal/walk"
)

// Report is what was found.
type Report struct {
	Version       string
	Host          hostinfo.Info
	CUDA          string   // the GPUs, or why there are none
	CUDALibraries []string // a line for each
	Phikon        string   // where it is
	PhikonMissing error
	OpenSlide     string // version and path
	SlidesMissing error
	Environment   []string // names of the variables that change what the program does
	Caches        []Cache
	Speed         *Speed // nil if it wasn't measured
}

// Cache is a folder that the program fills or reads.
type Cache struct {
	Name   string
	Path   string
	Models int // in Hugging Face's cache
	Bytes  int64
}

// Speed is what [Measure] has measured.
type Speed struct {
	GFLOPS      float64       // in products of large matrices
	Translation time.Duration // of an image of 512 pixels with 100 + 100 steps of a full-size model
}

// Collect examines the machine. It opens no connection and starts no device.
func Collect(version string) Report {
	r := Report{
		Version: version, Host: hostinfo.Read(), CUDA: catalog.GPUs(), CUDALibraries: catalog.GPULibraries(),
		Environment: variables(os.Environ()), Caches: caches(),
	}
	r.Phikon, r.PhikonMissing = weights.FindModel(model.DefaultPhikon)
	library, err := openslide.Load()
	if r.SlidesMissing = err; err == nil {
		r.OpenSlide = library.Version + ", " + library.Path
	}
	return r
}

// variables lists the names of the environment's variables that change what the program does.
func variables(environment []string) []string {
	var names []string
	for _, setting := range environment {
		name, _, _ := strings.Cut(setting, "=")
		for _, of := range []string{
			"HISTDIST_", "HF_", "HUGGINGFACE_", "CUDA_", "NVIDIA_", "GOMAXPROCS", "GOMEMLIMIT", "GODEBUG", "GOGC",
			"LD_LIBRARY_PATH", "TORCH_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "TMPDIR",
		} {
			if name == of || strings.HasSuffix(of, "_") && strings.HasPrefix(name, of) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// caches measures the folders of models. What can't be read counts as nothing; links in Hugging Face's cache lead to
// files that are counted anyway.
func caches() []Cache {
	var list []Cache
	if hub, err := weights.HubCache(); err == nil {
		c := Cache{Name: "Hugging Face", Path: hub}
		c.Bytes, _ = walk.Size(hub)
		if models, err := filepath.Glob(filepath.Join(hub, "models--*")); err == nil {
			c.Models = len(models)
		}
		list = append(list, c)
	}
	if user, err := os.UserCacheDir(); err == nil {
		c := Cache{Name: "histdist", Path: filepath.Join(user, "histdist")}
		c.Bytes, _ = walk.Size(c.Path)
		list = append(list, c)
	}
	return list
}

// What one image of 512 pixels takes with 100 + 100 steps, and how much faster than a product of large matrices its
// networks run, since Winograd's convolutions multiply less: measured, see docs/benchmarks.md.
const (
	tileFLOP  = 200*0.814e12 + 1.117e12 + 2.515e12
	tileShare = 1.35
)

// Measure computes for a second on the processor's fastest device.
func Measure(ctx context.Context) (s *Speed, err error) {
	d, err := catalog.Open("auto", 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	rate, err := bench.Peak(ctx, d, vm.Float32)
	if err != nil {
		return nil, err
	}
	share := tileShare
	if d.Name() == "ref" {
		share = 1
	}
	tile := time.Duration(tileFLOP / (rate * share) / 1e9 * float64(time.Second))
	return &Speed{GFLOPS: rate, Translation: tile.Round(time.Second)}, nil
}

// String is a fact a line, each line a label and its value.
func (r Report) String() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", label, fmt.Sprintf(format, args...))
	}
	line("histdist", "%s", r.Version)
	b.WriteString(r.Host.String())
	line("device cuda", "%s", r.CUDA)
	for _, library := range r.CUDALibraries {
		line("cuda library", "%s", library)
	}
	line("phikon", "%s", orError(r.Phikon, r.PhikonMissing))
	line("openslide", "%s", orError(r.OpenSlide, r.SlidesMissing))
	line("environment", "%s", orNone(r.Environment))
	for _, c := range r.Caches {
		line("cache", "%s: %s, %.1f MB", c.Name, c.Path, float64(c.Bytes)/1e6)
	}
	if r.Speed != nil {
		line("speed", "%.0f GFLOP/s in products of large matrices", r.Speed.GFLOPS)
		line("translation", "about %v for an image of 512 pixels with 100 + 100 steps of a full-size model",
			r.Speed.Translation)
	}
	return b.String()
}

func orError(found string, err error) string {
	if err != nil {
		return err.Error()
	}
	return found
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "no variable that matters is set"
	}
	return strings.Join(names, ", ")
}

// JSON is the report for others. It has no path but those of the system, and no name of a user, machine or model.
func (r Report) JSON() ([]byte, error) {
	hide := secretsHere().hide
	type device struct {
		Name string `json:"name"`
		Here bool   `json:"here"`
		Note string `json:"note"`
	}
	type cache struct {
		Name   string `json:"name"`
		Models int    `json:"models,omitempty"`
		Bytes  int64  `json:"bytes"`
	}
	type speed struct {
		GFLOPS             float64 `json:"gflops"`
		TranslationSeconds float64 `json:"translation_seconds"`
	}
	var out struct {
		Version       string   `json:"histdist"`
		Go            string   `json:"go"`
		OS            string   `json:"os"`
		Arch          string   `json:"arch"`
		System        string   `json:"system"`
		Cgo           bool     `json:"cgo"`
		CPU           string   `json:"cpu"`
		Features      []string `json:"cpu_features"`
		Kernels       []string `json:"kernels"`
		Cores         int      `json:"cores"`
		Threads       int      `json:"threads"`
		ThreadsReason string   `json:"threads_reason"`
		Memory        uint64   `json:"memory_bytes"`
		MemoryLimit   uint64   `json:"memory_limit_bytes,omitempty"`
		Devices       []device `json:"devices"`
		CUDA          string   `json:"cuda"`
		CUDALibraries []string `json:"cuda_libraries,omitempty"`
		OpenSlide     string   `json:"openslide"`
		Phikon        bool     `json:"phikon_in_cache"`
		Environment   []string `json:"environment"` // names
		Caches        []cache  `json:"caches"`
		Speed         *speed   `json:"speed,omitempty"`
	}
	h := r.Host
	out.Version, out.Go, out.OS, out.Arch, out.System, out.Cgo = r.Version, h.Go, h.OS, h.Arch, h.System, h.Cgo
	out.CPU, out.Kernels, out.Cores = h.CPU.Model, h.CPU.InstructionSets(), h.CPU.Cores
	out.Threads, out.ThreadsReason = h.CPU.Threads.Count, hide(h.CPU.Threads.Reason)
	for _, f := range h.CPU.Features {
		if f.Present {
			out.Features = append(out.Features, f.Name)
		}
	}
	out.Memory, out.MemoryLimit = h.Memory.Physical, h.Memory.Limit
	for _, d := range h.Devices() {
		out.Devices = append(out.Devices, device{d.Name, d.Built, d.Note})
	}
	out.CUDA = hide(r.CUDA)
	for _, library := range r.CUDALibraries {
		out.CUDALibraries = append(out.CUDALibraries, hide(library))
	}
	out.OpenSlide = hide(orError(r.OpenSlide, r.SlidesMissing))
	out.Phikon = r.PhikonMissing == nil
	out.Environment = r.Environment
	for _, c := range r.Caches {
		out.Caches = append(out.Caches, cache{c.Name, c.Models, c.Bytes})
	}
	if r.Speed != nil {
		out.Speed = &speed{r.Speed.GFLOPS, r.Speed.Translation.Seconds()}
	}
	return json.MarshalIndent(out, "", "  ")
}
