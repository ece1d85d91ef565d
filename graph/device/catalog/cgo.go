//go:build cgo

package catalog

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cpu"
)

func fast() []string { return []string{"cpu"} }

func openFast(_ string, threads int) (device.Device, error) {
	return cpu.New(cpu.Options{Threads: threads})
}
