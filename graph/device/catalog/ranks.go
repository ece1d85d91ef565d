package catalog

import (
	"errors"
	"fmt"
	"strings"

	"github.com/histdist/histdist/graph/device"
)

// Place is that of a process among those of a job, each of which has one GPU.
type Place struct {
	Rank, Size int
	Local      int // the process's number on its machine
	// Share returns in all processes what the first one passes.
	Share func([]byte) ([]byte, error)
}

// OpenAt opens the GPU of a process: of "cuda" the one of its number on the machine, or the only one that the launcher
// lets it see.
func OpenAt(name string, p Place) (device.Device, error) {
	name = strings.TrimSpace(name)
	kind, _, numbered := strings.Cut(name, ":")
	if kind != "cuda" || strings.Contains(name, ",") {
		return nil, fmt.Errorf("device %q: each of %d ranks has one GPU: want cuda", name, p.Size)
	}
	if numbered {
		return Open(name, 0)
	}
	switch n := len(foundGPUs()); {
	case n == 1:
		return Open("cuda:0", 0)
	case n > 0 && p.Local >= n:
		return nil, fmt.Errorf("device cuda: this is process %d, counted from 0, of a machine with %d GPUs: want a process "+
			"for each GPU", p.Local, n)
	}
	return Open(fmt.Sprintf("cuda:%d", p.Local), 0)
}

// Join joins the GPUs of all processes. It returns when all have called it.
func Join(d device.Device, p Place) (device.Group, error) {
	g, err := joinGPU(d, p)
	if g == nil && err == nil {
		err = errors.New(d.Name() + ": only GPUs of several processes can be joined")
	}
	return g, err
}
