//go:build gpu

package cuda

import (
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nvlib"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/ops"
)

// Limits choose between ways to compute an operation.
type Limits = ops.Limits

// NewLimited is New with limits.
func NewLimited(ordinal int, l Limits) (*Device, error) { return open(ordinal, l) }

// OpenDriver opens the process's driver from a file.
func OpenDriver(path string) error {
	_, err := driver.Open(path)
	return err
}

// Libraries are those of NVIDIA's that the device computes with, and why others are missing.
func (d *Device) Libraries() (open []*nvlib.Library, missing []error) { return d.ops.Libraries() }
