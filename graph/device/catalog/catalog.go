// Package catalog opens a device by its name (gpu.go, cgo.go: where the build has it) and joins devices (group.go;
// ranks.go: of several processes). It is the only package that imports all devices.
package catalog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/ref"
)

// Names lists the processor devices of this build, the fastest first. Builds for GPUs also have "cuda:0", "cuda:1", ….
func Names() []string { return append(fast(), "ref") }

// Found lists the devices that are worth using here: the GPUs that this build finds, and its fastest processor device.
func Found() []string { return append(foundGPUs(), Names()[0]) }

// Usage lists the devices of this build, for a flag.
func Usage() string { return "auto, " + strings.Join(append(Names(), gpus()...), ", ") }

// Open returns the device of a name: "auto" is the fastest processor device of this build and machine, "cuda" is
// "cuda:0".
// threads is the number of threads of a processor device; 0 is one for each processor.
func Open(name string, threads int) (device.Device, error) {
	if name == "auto" || name == "" {
		name = Names()[0]
	}
	if name == "ref" {
		return ref.New(), nil
	}
	for _, n := range fast() {
		if n == name {
			return openFast(name, threads)
		}
	}
	if kind, ordinal, numbered := strings.Cut(name, ":"); kind == "cuda" {
		if !numbered {
			ordinal = "0"
		}
		n, err := strconv.Atoi(ordinal)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("device %q: want cuda:0, cuda:1, …", name)
		}
		return openCUDA(n)
	}
	return nil, fmt.Errorf("device %q: this build has %s", name, Usage())
}

// Set is the device of a run, or several that share its work. The first is its Device.
type Set struct {
	device.Device
	Peers []device.Device // the others
	Group device.Group    // of all; nil for one
}

// OpenSet opens the devices of a list such as "cuda:0,cuda:1".
func OpenSet(names string, threads int) (s Set, err error) {
	var all []device.Device
	for name := range strings.SplitSeq(names, ",") {
		d, err := Open(strings.TrimSpace(name), threads)
		if err != nil {
			return Set{}, errors.Join(err, s.Close())
		}
		all = append(all, d)
		s.Device, s.Peers = all[0], all[1:]
	}
	if len(all) > 1 {
		if s.Group, err = Group(all); err != nil {
			return Set{}, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Close closes the group and its devices.
func (s Set) Close() error {
	var errs []error
	if s.Group != nil {
		errs = append(errs, s.Group.Close())
	}
	for _, d := range append([]device.Device{s.Device}, s.Peers...) {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}
