//go:build !gpu

package devices

import (
	"fmt"

	"github.com/histdist/histdist/graph/device"
)

func gpus() []string { return nil }

func openCUDA(ordinal int) (device.Device, error) {
	return nil, fmt.Errorf("device cuda:%d: this build has none for GPUs: make gpu builds one", ordinal)
}
