// Package hostinfo says what the machine and this build of the program offer to the devices: the processor's vector
// instructions, cores, memory, and which devices were compiled in. It only looks; it neither starts a device nor
// chooses one.
//
// [Read] fills an [Info], and [Info.String] is what `histdist doctor` prints. cpu.go has the processor, threads.go its
// threads, cgroup.go limits of the control group, host_*.go and system_*.go what the system says, peak_*.go the memory
// in use.
package hostinfo

import (
	"fmt"
	"runtime"
	"strings"
)

// Info describes the machine and this build.
type Info struct {
	Go     string // version of Go that built the program
	OS     string // GOOS
	Arch   string // GOARCH
	System string // name and version of the operating system
	Cgo    bool   // built with C
	CPU    CPU
	Memory Memory
}

// Memory is in bytes; 0 where it is unknown.
type Memory struct {
	Physical uint64
	Limit    uint64 // of the container that the program runs in; 0 where there is none
}

// Device is a device that a program can be compiled for.
type Device struct {
	Name  string // "ref", "cpu"
	Built bool   // this build has it
	Note  string // what it is, or why it is missing
}

// Read examines the machine.
func Read() Info {
	return Info{
		Go:     runtime.Version(),
		OS:     runtime.GOOS,
		Arch:   runtime.GOARCH,
		System: systemName(),
		Cgo:    builtWithCgo,
		CPU:    ReadCPU(),
		Memory: readMemory(),
	}
}

// Devices lists every device that the program knows, the slowest first.
func (i Info) Devices() []Device {
	sets := i.CPU.InstructionSets()
	fast := Device{Name: "cpu", Built: i.Cgo, Note: "C kernels (" + sets[len(sets)-1] + ")"}
	if !i.Cgo {
		fast.Note = "left out: this build was made without C (CGO_ENABLED=0, or no C compiler)"
	}
	return []Device{{Name: "ref", Built: true, Note: "plain Go: slow, written to be read and to check the others"}, fast}
}

// String is the report of `histdist doctor`: one fact a line, each line a label and its value.
func (i Info) String() string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-14s %s\n", label, fmt.Sprintf(format, args...))
	}
	line("Go", "%s %s/%s", i.Go, i.OS, i.Arch)
	line("system", "%s", i.System)
	line("C (cgo)", "%s", yesNo(i.Cgo))
	if i.CPU.Model != "" {
		line("processor", "%s", i.CPU.Model)
	}
	line("cores", "%d usable", i.CPU.Cores)
	line("threads", "%d, %s", i.CPU.Threads.Count, i.CPU.Threads.Reason)
	for _, f := range i.CPU.Features {
		line(f.Name, "%s", yesNo(f.Present))
	}
	line("memory", "%s", i.Memory)
	for _, d := range i.Devices() {
		line("device "+d.Name, "%s: %s", yesNo(d.Built), d.Note)
	}
	return b.String()
}

// String is the memory in GiB, the container's limit included where there is one.
func (m Memory) String() string {
	const gib = 1 << 30
	text := "unknown"
	if m.Physical > 0 {
		text = fmt.Sprintf("%.1f GiB", float64(m.Physical)/gib)
	}
	if m.Limit > 0 {
		text += fmt.Sprintf(", limited to %.1f GiB", float64(m.Limit)/gib)
	}
	return text
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
