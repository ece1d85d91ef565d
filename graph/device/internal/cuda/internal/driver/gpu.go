//go:build gpu

package driver

import (
	"fmt"

	"gorgonia.org/cu"
)

// GPU is one of the machine's GPUs.
type GPU struct{ device cu.Device }

// Count is the number of GPUs.
func Count() (int, error) {
	n, err := cu.NumDevices()
	if err != nil {
		return 0, fmt.Errorf("cuda: %w: %w", ErrNoDriver, explain(err))
	}
	return n, nil
}

// Get returns a GPU by its number, counted as nvidia-smi does, except for CUDA_VISIBLE_DEVICES.
func Get(ordinal int) (GPU, error) {
	d, err := cu.GetDevice(ordinal)
	return GPU{d}, explain(err)
}

func (g GPU) Name() (string, error) {
	name, err := g.device.Name()
	return name, explain(err)
}

// Capability is the compute capability.
func (g GPU) Capability() (major, minor int, err error) {
	if major, err = g.device.Attribute(cu.ComputeCapabilityMajor); err != nil {
		return 0, 0, explain(err)
	}
	minor, err = g.device.Attribute(cu.ComputeCapabilityMinor)
	return major, minor, explain(err)
}

// Multiprocessors is their number.
func (g GPU) Multiprocessors() (int, error) {
	n, err := g.device.Attribute(cu.MultiprocessorCount)
	return n, explain(err)
}

// Memory is the GPU's memory in bytes.
func (g GPU) Memory() (int64, error) {
	n, err := g.device.TotalMem()
	return n, explain(err)
}
