package cpu

// #include "kernels.h"
import "C"

import (
	"fmt"
	"slices"
	"strings"

	"github.com/histdist/histdist/internal/hostinfo"
)

// kernels returns the table of an instruction set, the machine's best for "".
func kernels(isa string) (*C.hd_kernels, string, error) {
	sets := InstructionSets()
	if isa == "" {
		isa = sets[len(sets)-1]
	}
	if slices.Contains(sets, isa) {
		return table(isa), isa, nil
	}
	return nil, "", fmt.Errorf("cpu: instruction set %q: this machine has %s", isa, strings.Join(sets, ", "))
}

// InstructionSets lists the instruction sets that the machine has, the best last: generic-bf16, generic, then avx2,
// avx512, avx512bf16 or neon. The first is for tests: it is avx512bf16 in plain C.
func InstructionSets() []string {
	return append([]string{"generic-bf16"}, hostinfo.ReadCPU().InstructionSets()...)
}
