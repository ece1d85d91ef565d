package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments/bench"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/hostinfo"
	"github.com/histdist/histdist/internal/openslide"
)

func doctorCommand() *cobra.Command {
	var quick bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "show what this machine and this build can run",
		Long: `Shows what this machine and this build can run: the version of Go, whether the C kernels are built in, the
processor's vector instructions, cores, memory, the devices, whether Phikon is in Hugging Face's cache, which OpenSlide
reads slides, and, from a measurement of a second, how long an image takes. Add its output when you report a problem.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if _, err := fmt.Fprintf(out, "%-14s %s\n%s", "histdist", version, hostinfo.Read()); err != nil {
				return err
			}
			fmt.Fprintf(out, "%-14s %s\n", "device cuda", catalog.GPUs())
			for _, line := range catalog.GPULibraries() {
				fmt.Fprintf(out, "%-14s %s\n", "cuda library", line)
			}
			phikon, err := weights.FindModel(model.DefaultPhikon)
			if err != nil {
				phikon = err.Error()
			}
			fmt.Fprintf(out, "%-14s %s\n", "phikon", phikon)
			slides := ""
			if library, err := openslide.Load(); err != nil {
				slides = err.Error()
			} else {
				slides = library.Version + ", " + library.Path
			}
			fmt.Fprintf(out, "%-14s %s\n", "openslide", slides)
			if quick {
				return nil
			}
			rate, tile, err := estimate(cmd)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%-14s %.0f GFLOP/s in products of large matrices\n", "speed", rate)
			_, err = fmt.Fprintf(out, "%-14s about %v for an image of 512 pixels with 100 + 100 steps of a full-size model\n",
				"translation", tile)
			return err
		},
	}
	c.Flags().BoolVar(&quick, "quick", false, "skip the measurement")
	return c
}

// What one image of 512 pixels takes with 100 + 100 steps, and how much faster than a product of large matrices its
// networks run, since Winograd's convolutions multiply less: measured, see docs/benchmarks.md.
const (
	tileFLOP  = 200*0.814e12 + 1.117e12 + 2.515e12
	tileShare = 1.35
)

func estimate(cmd *cobra.Command) (rate float64, tile time.Duration, err error) {
	d, err := catalog.Open("auto", 0)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if rate, err = bench.Peak(cmd.Context(), d, vm.Float32); err != nil {
		return 0, 0, err
	}
	share := tileShare
	if d.Name() == "ref" {
		share = 1
	}
	return rate, time.Duration(tileFLOP / (rate * share) / 1e9 * float64(time.Second)).Round(time.Second), nil
}
