//go:build gpu

package devices

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/cuda"
)

func gpus() []string { return []string{"cuda:0, cuda:1, …"} }

func openCUDA(ordinal int) (device.Device, error) {
	d, err := cuda.New(cuda.Options{Ordinal: ordinal})
	if err != nil {
		return nil, err
	}
	return d, nil
}
