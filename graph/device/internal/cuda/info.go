//go:build gpu

package cuda

import (
	"fmt"
	"os"
	"strings"

	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nvlib"
)

// Info describes a machine's GPUs, driver and libraries.
type Info struct {
	Driver string // its version in NVIDIA's words; "" if unknown
	CUDA   string // the version that the driver knows, such as "12.4"
	GPUs   []GPU
	// Libraries has a line for each of NVIDIA's libraries: its version, its path and why it was chosen, or where it was
	// looked for and what is lost without it.
	Libraries []string
}

// GPU is one of them.
type GPU struct {
	Name       string
	Capability string // compute capability, such as "9.0"
	Bytes      int64  // of memory
}

// Read finds the driver and GPUs. It makes no context.
func Read() (Info, error) {
	version, err := driver.Open("")
	if err != nil {
		return Info{}, err
	}
	i := Info{CUDA: driver.VersionText(version), Driver: driverVersion()}
	n, err := driver.Count()
	if err != nil {
		return i, err
	}
	for ordinal := range n {
		g, err := readGPU(ordinal)
		if err != nil {
			return i, fmt.Errorf("cuda:%d: %w", ordinal, err)
		}
		i.GPUs = append(i.GPUs, g)
	}
	for _, s := range []nvlib.LibrarySpec{nvlib.CUBLASLt, nvlib.CuDNN, nvlib.NCCL} {
		i.Libraries = append(i.Libraries, libraryLine(s, version))
	}
	return i, nil
}

// libraryLine opens a library and says which it is.
func libraryLine(s nvlib.LibrarySpec, version int) string {
	l, err := s.Open(version)
	if err != nil {
		return fmt.Sprintf("no %v: %s", err, s.FallbackNote)
	}
	return fmt.Sprintf("%v: %s", l, l.Why)
}

func readGPU(ordinal int) (g GPU, err error) {
	d, err := driver.Get(ordinal)
	if err != nil {
		return g, err
	}
	if g.Name, err = d.Name(); err != nil {
		return g, err
	}
	major, minor, err := d.Capability()
	if err != nil {
		return g, err
	}
	g.Capability = fmt.Sprintf("%d.%d", major, minor)
	g.Bytes, err = d.Memory()
	return g, err
}

// Fingerprint names all that the bytes of results depend on in addition to the inputs: the GPU's model, the driver, and
// NVIDIA's libraries. A training run that is resumed compares it.
func (d *Device) Fingerprint() string {
	parts := []string{fmt.Sprintf("GPU %d", d.ordinal), "CUDA " + driver.VersionText(d.version)}
	if g, err := readGPU(d.ordinal); err == nil {
		parts[0] = fmt.Sprintf("%s (%s)", g.Name, g.Capability)
	}
	for _, s := range []nvlib.LibrarySpec{nvlib.CUBLASLt, nvlib.CuDNN} {
		if l, err := s.Open(d.version); err == nil {
			parts = append(parts, l.Name+" "+l.Version)
		} else {
			parts = append(parts, "no "+s.Name)
		}
	}
	return strings.Join(parts, ", ")
}

// driverVersion is the first line of what the kernel module says, "" where there is none.
func driverVersion() string {
	text, err := os.ReadFile("/proc/driver/nvidia/version")
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(strings.TrimPrefix(line, "NVRM version:"))
}

// String is one line: the versions and the GPUs.
func (i Info) String() string {
	parts := []string{"CUDA " + i.CUDA}
	if i.Driver != "" {
		parts[0] += ", driver " + i.Driver
	}
	for n, g := range i.GPUs {
		gib := float64(g.Bytes) / (1 << 30)
		parts = append(parts, fmt.Sprintf("cuda:%d %s, compute capability %s, %.1f GiB", n, g.Name, g.Capability, gib))
	}
	if len(i.GPUs) == 0 {
		parts = append(parts, "no GPU")
	}
	return strings.Join(parts, "; ")
}
