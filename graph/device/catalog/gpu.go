//go:build gpu

package catalog

import (
	"fmt"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
)

// GPUs says which GPUs this build can use, or why it can't: a line for `histdist doctor`.
func GPUs() string {
	i, err := cuda.Read()
	if err != nil {
		return "no: " + err.Error()
	}
	return "yes: " + i.String()
}

// GPULibraries has a line for each of NVIDIA's libraries that GPUs are fast with.
func GPULibraries() []string {
	i, err := cuda.Read()
	if err != nil {
		return nil // GPUs says it
	}
	return i.Libraries
}

func gpus() []string { return []string{"cuda:0, cuda:1, …"} }

func foundGPUs() (names []string) {
	i, err := cuda.Read()
	if err != nil {
		return nil // GPUs says why
	}
	for n := range i.GPUs {
		names = append(names, fmt.Sprintf("cuda:%d", n))
	}
	return names
}

func openCUDA(ordinal int) (device.Device, error) {
	d, err := cuda.New(ordinal)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// joinGPU is nil where the device is no GPU.
func joinGPU(member device.Device, p Place) (device.Group, error) {
	d, ok := member.(*cuda.Device)
	if !ok {
		return nil, nil
	}
	g, err := cuda.Join(d, p.Rank, p.Size, p.Share)
	if err != nil {
		return nil, err
	}
	return g, nil
}

// groupOfGPUs is nil where not all members are GPUs.
func groupOfGPUs(members []device.Device) (device.Group, error) {
	var gpus []*cuda.Device
	for _, m := range members {
		d, ok := m.(*cuda.Device)
		if !ok {
			return nil, nil
		}
		gpus = append(gpus, d)
	}
	g, err := cuda.NewGroup(gpus)
	if err != nil {
		return nil, err
	}
	return g, nil
}
