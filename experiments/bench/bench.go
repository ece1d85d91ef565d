package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/vm"
)

// What can be timed.
var (
	networks = []string{"unet", "vae-encode", "vae-decode", "vit", "text"}
	kernels  = []string{"unet-kernels", "vae-encode-kernels", "vae-decode-kernels"}
	pipeline = []string{"translation", "training", trainingSparing}
)

const (
	trainingNetwork = "unet-train-32"
	trainingSparing = "training-sparing" // recomputes activations
)

// Names lists what can be timed, those that need a model last.
func Names() []string { return slices.Concat(networks, []string{trainingNetwork}, kernels, pipeline) }

// Result is what was measured of one network, layer, translation or training step.
type Result struct {
	Name    string  `json:"name"`
	Count   int     `json:"count,omitempty"` // how often a network has this layer
	Batch   int     `json:"batch"`
	Seconds float64 `json:"seconds"`                  // the least of the runs; of translation and training the median
	Median  float64 `json:"median_seconds,omitempty"` // of the runs but the first
	Compile float64 `json:"compile_seconds"`
	GFLOPS  float64 `json:"gflops"`
	// Share is GFLOPS over the rate of a product of large matrices; Winograd's convolutions can exceed 1.
	Share     float64 `json:"share_of_gemm_peak"`
	Arena     int64   `json:"arena_bytes"`
	Packed    int64   `json:"kernels_bytes"` // weights
	PeakRSS   int64   `json:"peak_resident_bytes"`
	Training  bool    `json:"training,omitempty"`
	Algorithm string  `json:"algorithm,omitempty"`     // of a kernel
	Idle      float64 `json:"idle,omitempty"`          // share of Seconds for which a GPU waited, where it was measured
	Torch     float64 `json:"torch_seconds,omitempty"` // PyTorch's
}

// Options say what is measured.
type Options struct {
	Device    device.Device
	Precision vm.Precision
	LowMemory bool
	Training  bool            // also the backward passes of kernels and, without Only, a training step, which takes 14 GB
	Runs      int             // 0 means 2
	Batch     int             // images at once, but for kernels and unet-train-32; 0 means 1
	Only      []string        // some of Names; none means the networks, or with Model what needs one
	Model     string          // a folder or an id
	Variant   string          // of the model's weights
	Size      int             // side of the images in pixels, of translation and training
	Steps     int             // of the inversion and of the translation, each
	Torch     string          // a Python with PyTorch to compare with, in the repository's folder; "" for none
	Profile   func(vm.Report) // gets programs' steps, timed one after the other; nil for none
	Dump      io.Writer       // gets programs as text, after each pass of the compiler; nil for none
}

// Run measures one thing after the other and reports each Result; after a network's layers, their sums by kind.
func Run(ctx context.Context, o Options, observe progress.Observer) error {
	o.Batch = max(1, o.Batch)
	if o.Runs < 1 {
		o.Runs = 2
	}
	switch {
	case len(o.Only) > 0:
	case o.Model != "":
		o.Only = pipeline
	default:
		o.Only = networks
		if o.Training {
			o.Only = append(slices.Clone(networks), trainingNetwork)
		}
	}
	for _, name := range o.Only {
		if !slices.Contains(Names(), name) {
			return fmt.Errorf("nothing to time is called %q: want %s", name, strings.Join(Names(), ", "))
		}
	}
	peak := 0.0
	for _, name := range o.Only {
		results, err := measure(ctx, o, name)
		if err == nil && peak == 0 && results[0].GFLOPS > 0 {
			peak, err = Peak(ctx, o.Device, o.Precision)
		}
		if err == nil && o.Torch != "" {
			err = compare(ctx, o, results)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if results[0].Count > 0 {
			results = append(results, sums(results)...)
		}
		for _, r := range results {
			if peak > 0 {
				r.Share = r.GFLOPS / peak
			}
			if err := observe.Report(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure returns the results of a name: one, or those of all layers.
func measure(ctx context.Context, o Options, name string) (results []Result, err error) {
	if slices.Contains(pipeline, name) {
		r, err := timePipeline(ctx, o, name)
		return []Result{r}, err
	}
	var programs []program
	if network, ok := strings.CutSuffix(name, "-kernels"); ok {
		programs, err = layerPrograms(network, o.Training)
	} else {
		programs, err = networkProgram(name, o.Batch)
	}
	if err != nil {
		return nil, err
	}
	for _, p := range programs {
		r, err := p.time(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		results = append(results, r)
	}
	return results, nil
}
