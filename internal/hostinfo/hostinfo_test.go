package hostinfo_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/hostinfo"
)

func features(names ...string) []hostinfo.Feature {
	list := make([]hostinfo.Feature, len(names))
	for i, name := range names {
		list[i] = hostinfo.Feature{Name: name, Present: true}
	}
	return list
}

func TestInstructionSets(t *testing.T) {
	tests := []struct {
		name     string
		features []hostinfo.Feature
		want     string
	}{
		{"another architecture", nil, "generic"},
		{"AVX2 without FMA", features("AVX2"), "generic"},
		{"Haswell, Zen", features("AVX2", "FMA"), "avx2"},
		{"AVX-512 without VL", features("AVX2", "FMA", "AVX512F", "AVX512BW", "AVX512DQ"), "avx2"},
		{"Skylake-X", features("AVX2", "FMA", "AVX512F", "AVX512BW", "AVX512DQ", "AVX512VL"), "avx512"},
		{"Zen 4", features("AVX2", "FMA", "AVX512F", "AVX512BW", "AVX512DQ", "AVX512VL", "AVX512BF16"), "avx512bf16"},
		{"Apple M, Graviton", features("NEON"), "neon"},
		{"listed but not present", append(features("AVX2"), hostinfo.Feature{Name: "FMA"}), "generic"},
	}
	for _, test := range tests {
		sets := hostinfo.CPU{Features: test.features}.InstructionSets()
		if got := sets[len(sets)-1]; got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestReport(t *testing.T) {
	info := hostinfo.Info{
		Go: "go1.26.8", OS: "linux", Arch: "amd64", System: "Debian GNU/Linux 12 (bookworm), Linux 6.1.0", Cgo: true,
		CPU: hostinfo.CPU{
			Model: "A processor", Cores: 8, Threads: hostinfo.Threads{Count: 4, Reason: "from GOMAXPROCS"},
			Features: features("AVX2", "FMA"),
		},
		Memory: hostinfo.Memory{Physical: 24 << 30, Limit: 6 << 30},
	}
	want := `Go             go1.26.8 linux/amd64
system         Debian GNU/Linux 12 (bookworm), Linux 6.1.0
C (cgo)        yes
processor      A processor
cores          8 usable
threads        4, from GOMAXPROCS
AVX2           yes
FMA            yes
memory         24.0 GiB, limited to 6.0 GiB
device ref     yes: plain Go: slow, written to be read and to check the others
device cpu     yes: C kernels (avx2)
`
	if diff := cmp.Diff(want, info.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// What is unknown or missing is said, never left out or made up.
	bare := hostinfo.Info{
		Go: "go1.26.8", OS: "plan9", Arch: "arm", System: "plan9",
		CPU: hostinfo.CPU{Cores: 1, Threads: hostinfo.Threads{Count: 1, Reason: "one for each core"}},
	}
	want = `Go             go1.26.8 plan9/arm
system         plan9
C (cgo)        no
cores          1 usable
threads        1, one for each core
memory         unknown
device ref     yes: plain Go: slow, written to be read and to check the others
device cpu     no: left out: this build was made without C (CGO_ENABLED=0, or no C compiler)
`
	if diff := cmp.Diff(want, bare.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRead(t *testing.T) {
	info := hostinfo.Read()
	if info.Go != runtime.Version() || info.CPU.Cores < 1 || info.CPU.Threads.Count < 1 {
		t.Errorf("got %+v", info)
	}
	if runtime.GOOS == "linux" && info.Memory.Physical < 1<<20 {
		t.Errorf("memory of %d bytes", info.Memory.Physical)
	}
	for _, d := range info.Devices() {
		if d.Name == "ref" && !d.Built {
			t.Error("a build without the reference device")
		}
	}
	if !strings.Contains(info.String(), runtime.GOARCH) {
		t.Errorf("report without the architecture:\n%s", info)
	}
}
