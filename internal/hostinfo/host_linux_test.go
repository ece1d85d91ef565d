package hostinfo_test

import (
	"testing"

	"github.com/histdist/histdist/internal/hostinfo"
)

func TestModelOfCPUInfo(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"amd64", "processor\t: 0\nmodel name\t: AMD EPYC 7763\n\nprocessor\t: 1\nmodel name\t: another\n", "AMD EPYC 7763"},
		{"Graviton3", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n", "Neoverse-V1"},
		{"another maker", "CPU implementer\t: 0x61\nCPU part\t: 0x022\n", "part 0x022 of implementer 0x61"},
		{"neither", "processor\t: 0\nisa\t\t: rv64gc\n", ""},
		{"nothing", "", ""},
	} {
		if got := hostinfo.ModelOf(test.text); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
