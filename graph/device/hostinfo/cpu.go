package hostinfo

import (
	"runtime"

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

// The features that each set of kernels needs.
const (
	avx2       = "AVX2"
	fma        = "FMA"
	avx512f    = "AVX512F"
	avx512bw   = "AVX512BW"
	avx512dq   = "AVX512DQ"
	avx512vl   = "AVX512VL"
	avx512bf16 = "AVX512BF16"
)

// InstructionSets lists the instruction sets of the kernels that this processor can run, the best last: generic, which
// is plain C, avx2, avx512, avx512bf16.
func (c CPU) InstructionSets() []string {
	sets := []string{"generic"}
	if c.has(avx2, fma) {
		sets = append(sets, "avx2")
		if c.has(avx512f, avx512bw, avx512dq, avx512vl) {
			sets = append(sets, "avx512")
			if c.has(avx512bf16) {
				sets = append(sets, "avx512bf16")
			}
		}
	}
	return sets
}

// has says whether all of these features are present.
func (c CPU) has(names ...string) bool {
	present := make(map[string]bool, len(c.Features))
	for _, f := range c.Features {
		present[f.Name] = f.Present
	}
	for _, name := range names {
		if !present[name] {
			return false
		}
	}
	return true
}

// ReadCPU describes the processor. It lists the features on amd64 alone: elsewhere the kernels are plain C, and there is nothing to choose.
func ReadCPU() CPU {
	c := CPU{Model: cpuModel(), Cores: runtime.NumCPU(), Threads: DefaultThreads()}
	if runtime.GOARCH == "amd64" {
		c.Features = []Feature{
			{avx2, cpu.X86.HasAVX2},
			{fma, cpu.X86.HasFMA},
			{avx512f, cpu.X86.HasAVX512F},
			{avx512bw, cpu.X86.HasAVX512BW},
			{avx512dq, cpu.X86.HasAVX512DQ},
			{avx512vl, cpu.X86.HasAVX512VL},
			{avx512bf16, cpu.X86.HasAVX512BF16},
		}
	}
	return c
}
