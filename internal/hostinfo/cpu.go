package hostinfo

import (
	"runtime"
	"slices"

	"golang.org/x/sys/cpu"
)

// CPU describes the processor.
type CPU struct {
	Model    string // as the operating system names it; "" where it doesn't
	Cores    int    // logical processors that this process may run on (taskset and cpusets can restrict it)
	Threads  Threads
	Features []Feature
}

// Feature is a set of instructions that a kernel uses or could use.
type Feature struct {
	Name    string
	Present bool // the processor has it, and the operating system keeps its registers
}

// InstructionSets lists the instruction sets of the kernels that this processor can run, the best last: generic, which
// is plain C, then avx2, avx512, avx512bf16, or neon.
func (c CPU) InstructionSets() []string {
	sets := []string{"generic"}
	if c.has("NEON") {
		sets = append(sets, "neon")
	}
	if c.has("AVX2", "FMA") {
		sets = append(sets, "avx2")
		if c.has("AVX512F", "AVX512BW", "AVX512DQ", "AVX512VL") {
			sets = append(sets, "avx512")
			if c.has("AVX512BF16") {
				sets = append(sets, "avx512bf16")
			}
		}
	}
	return sets
}

// has reports whether all of these features are present.
func (c CPU) has(names ...string) bool {
	lacks := func(name string) bool { return !slices.Contains(c.Features, Feature{name, true}) }
	return !slices.ContainsFunc(names, lacks)
}

// ReadCPU describes the processor. It lists features on amd64 and arm64: elsewhere the kernels are plain C, and there
// is nothing to choose.
func ReadCPU() CPU {
	c := CPU{Model: cpuModel(), Cores: runtime.NumCPU(), Threads: DefaultThreads()}
	switch runtime.GOARCH {
	case "amd64":
		c.Features = []Feature{
			{"AVX2", cpu.X86.HasAVX2},
			{"FMA", cpu.X86.HasFMA},
			{"AVX512F", cpu.X86.HasAVX512F},
			{"AVX512BW", cpu.X86.HasAVX512BW},
			{"AVX512DQ", cpu.X86.HasAVX512DQ},
			{"AVX512VL", cpu.X86.HasAVX512VL},
			{"AVX512BF16", cpu.X86.HasAVX512BF16},
		}
	case "arm64":
		c.Features = []Feature{{"NEON", cpu.ARM64.HasASIMD}}
	}
	return c
}
