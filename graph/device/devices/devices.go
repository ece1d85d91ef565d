// Package devices opens a device by its name. It is the one place that knows which devices a build has.
package devices

import (
	"fmt"
	"strings"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/ref"
)

// Names lists the devices of this build, the fastest first.
func Names() []string { return append(fast(), "ref") }

// Open returns the device of a name: "auto" is the fastest that this build and machine have. threads is the number of
// threads of a processor device; 0 is one for each processor.
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
	return nil, fmt.Errorf("device %q: this build has auto, %s", name, strings.Join(Names(), ", "))
}
