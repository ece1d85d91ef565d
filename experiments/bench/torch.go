package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/histdist/histdist/graph/device"
)

// compare adds PyTorch's times of the same work, by scripts/bench_torch.py: the fastest of its modes.
func compare(ctx context.Context, o Options, results []Result) error {
	args := []string{
		"scripts/bench_torch.py", "networks", "--precision=" + o.Precision.String(),
		fmt.Sprint("--batch=", results[0].Batch), fmt.Sprint("--steps=", o.Steps), fmt.Sprint("--runs=", o.Runs),
	}
	if results[0].Count > 0 {
		args[1] = "kernels"
	}
	if t, ok := o.Device.(device.Threader); ok {
		args = append(args, fmt.Sprint("--threads=", t.Threads()))
	} else if !o.Device.HostMemory() {
		args = append(args, "--device="+o.Device.Name())
	}
	for _, r := range results {
		args = append(args, r.Name)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, o.Torch, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	for d := json.NewDecoder(bytes.NewReader(out)); err == nil; {
		var t Result
		err = d.Decode(&t)
		for i := range results {
			if r := &results[i]; r.Name == t.Name && t.Seconds > 0 && (r.Torch == 0 || t.Seconds < r.Torch) {
				r.Torch = t.Seconds
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("PyTorch's times: %w: %s", err, &stderr)
	}
	return nil
}
