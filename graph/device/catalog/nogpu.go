//go:build !gpu

package catalog

import (
	"fmt"

	"github.com/histdist/histdist/graph/device"
)

// GPUs says which GPUs this build can use, or why it can't: a line for `histdist doctor`.
func GPUs() string { return "no: left out of this build: make gpu makes one with it" }

// GPULibraries has a line for each of NVIDIA's libraries that GPUs are fast with.
func GPULibraries() []string { return nil }

func gpus() []string { return nil }

func foundGPUs() []string { return nil }

func openCUDA(ordinal int) (device.Device, error) {
	return nil, fmt.Errorf("device cuda:%d: this build has none for GPUs: make gpu builds one", ordinal)
}

func joinGPU(device.Device, Place) (device.Group, error) { return nil, nil }

func groupOfGPUs([]device.Device) (device.Group, error) { return nil, nil }
