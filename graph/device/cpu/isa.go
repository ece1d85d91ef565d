package cpu

// #include "kernels.h"
import "C"

import (
	"fmt"
	"strings"

	"golang.org/x/sys/cpu"
)

// kernels returns the table of an instruction set, the machine's best for "".
func kernels(isa string) (*C.hd_kernels, string, error) {
	sets := InstructionSets()
	if isa == "" {
		isa = sets[len(sets)-1]
	}
	for _, s := range sets {
		if s == isa {
			return table(isa), isa, nil
		}
	}
	return nil, "", fmt.Errorf("cpu: instruction set %q: this machine has %s", isa, strings.Join(sets, ", "))
}

// InstructionSets lists the instruction sets that the machine has, the best last: generic-bf16, generic, avx2, avx512,
// avx512bf16. The first is for tests: it is avx512bf16 in plain C.
func InstructionSets() []string {
	sets := []string{"generic-bf16", "generic"}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		sets = append(sets, "avx2")
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
			sets = append(sets, "avx512")
			if cpu.X86.HasAVX512BF16 {
				sets = append(sets, "avx512bf16")
			}
		}
	}
	return sets
}
