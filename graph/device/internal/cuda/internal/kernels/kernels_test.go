package kernels

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// source is the text of a file of CUDA C++.
func source(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// number finds a pattern's one group, a number, in a source.
func number(t *testing.T, file, pattern string) int {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(source(t, file))
	if found == nil {
		t.Fatalf("%s has no %s", file, pattern)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSizesAreThoseOfTheSources(t *testing.T) {
	for _, c := range []struct {
		name          string
		got           int
		file, pattern string
		times         int
	}{
		{"Threads", Threads, "device.cuh", `define KERNEL\(.*__launch_bounds__\((\d+)\)`, 1},
		{"Threads", Threads, "matmul.cu", `\bTHREADS = (\d+)`, 1},
		{"Row", Row, "device.cuh", `\bROW = (\d+)`, 1},
		{"Row", Row, "device.cuh", `define ROW_KERNEL\(.*__launch_bounds__\((\d+),`, 1},
		{"Row/Warps", Row / Warps, "layer_norm.cu", `\bWARPS = ROW / (\d+)`, 1},
		{"Lanes", Lanes, "parts.cuh", `\bLANES = (\d+)`, 1},
		{"ChannelsOfBlock", ChannelsOfBlock, "parts.cuh", `\bCOLUMNS = (\d+)`, 4},
		{"ElementsOfThread", ElementsOfThread, "vectors.cuh", `\bFLAT = (\d+)`, 1},
		{"Tile", Tile, "matmul.cu", `\bTILE = (\d+)`, 1},
		{"Edge", Edge, "convolution.cu", `\bEDGE = (\d+)`, 1},
		{"AttentionThreads", AttentionThreads, "attention.cuh", `\bATTENTION_WARPS = (\d+), ATTENTION_THREADS = 32 \*`, 32},
		{"AttentionRows", AttentionRows, "attention.cuh", `\bATTENTION_WARPS = (\d+)`, 16},
		{"ImplicitDepth", ImplicitDepth, "implicit.cu", `\bDEPTH_ = (\d+)`, 1},
		{"Squared.Addresses", Squared.Addresses, "reduce.cu", `List<(\d+), \d+> Squared`, 1},
		{"Squared.Most", Squared.Most, "reduce.cu", `List<\d+, (\d+)> Squared`, 1},
		{"Accumulated.Addresses", Accumulated.Addresses, "optimizer.cu", `List<(\d+), \d+> Accumulated`, 1},
		{"Accumulated.Most", Accumulated.Most, "optimizer.cu", `List<\d+, (\d+)> Accumulated`, 1},
		{"Updated.Addresses", Updated.Addresses, "optimizer.cu", `List<(\d+), \d+> Updated`, 1},
		{"Updated.Most", Updated.Most, "optimizer.cu", `List<\d+, (\d+)> Updated`, 1},
	} {
		if want := number(t, c.file, c.pattern) * c.times; c.got != want {
			t.Errorf("%s is %d, in %s %d", c.name, c.got, c.file, want)
		}
	}
	if !strings.Contains(source(t, "mma.cuh"), "PITCH = (D / 8 | 1) * 8;") {
		t.Error("Pitch is not that of mma.cuh")
	}
}

func TestAttentionSizesAreThoseOfTheSources(t *testing.T) {
	want := map[string]bool{}
	for _, s := range AttentionSizes {
		for _, rows := range []int{AttentionRows, 2 * AttentionRows} {
			if rows == AttentionRows || s.Wide {
				m := rows / AttentionRows
				want[fmt.Sprintf("attention_%d_%d: forward<%[1]d, %[3]d, %d>", s.D, rows, m, s.Keys)] = true
				want[fmt.Sprintf("attention_statistics_%d_%d: statistics<%[1]d, %[3]d, %d>", s.D, rows, m, s.Keys)] = true
			}
		}
		want[fmt.Sprintf("attention_queries_%d: gradient<%[1]d, %d, false, true>", s.D, s.Keys)] = true
		want[fmt.Sprintf("attention_keys_%d: gradient<%[1]d, %d, true, %v>", s.D, s.Keys, s.Held)] = true
	}
	got := map[string]bool{}
	kernel := regexp.MustCompile(`(?m)^ATTENTION\((\w+), \d+, attention_(.*)\)$`)
	for _, m := range kernel.FindAllStringSubmatch(source(t, "attention.cu")+source(t, "attention_grad.cu"), -1) {
		got[m[1]+": "+m[2]] = true
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("kernels of attention (-sizes.go +sources):\n%s", d)
	}
}

func TestImplicitTilesAreThoseOfTheSource(t *testing.T) {
	for name, tile := range map[string]ImplicitTile{"Large": ImplicitLarge, "Small": ImplicitSmall} {
		// Shape is BM, BN, DOWN, ACROSS, STAGES; a warp computes one of DOWN × ACROSS parts.
		shape := regexp.MustCompile(`typedef Shape<(\d+), (\d+), (\d+), (\d+), (\d+)> ` + name)
		found := shape.FindStringSubmatch(source(t, "implicit.cu"))
		if found == nil {
			t.Fatalf("implicit.cu has no %s", shape)
		}
		var n [6]int
		for i := 1; i < len(n); i++ {
			n[i], _ = strconv.Atoi(found[i])
		}
		got := ImplicitTile{tile.Kernel, n[1], 32 * n[3] * n[4], n[5]}
		if n[1] != n[2] || got != tile {
			t.Errorf("%s is %+v, in the source %+v", name, tile, got)
		}
	}
}

func TestEverySourceHasItsPTX(t *testing.T) {
	sources, err := filepath.Glob("*.cu")
	if err != nil {
		t.Fatal(err)
	}
	families, err := Families()
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]bool{}, map[string]bool{}
	for _, s := range sources {
		want["gen_"+strings.TrimSuffix(s, ".cu")+".ptx"] = true
	}
	for _, f := range families {
		got[f.File] = true
		if len(f.Kernels) == 0 || !strings.Contains(f.PTX, ".target sm_80") {
			t.Errorf("%s has the kernels %v, want some, for sm_80", f.File, f.Kernels)
		}
	}
	if d := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); d != "" {
		t.Errorf("PTX files (-sources +got):\n%s", d)
	}
}
