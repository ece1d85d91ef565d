//go:build unix

package mosaic

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/histdist/histdist/internal/synth"
)

const largeFolder = "HISTDIST_MOSAIC_TEST_LARGE"

// TestLargeChild reads, masks, plans and writes the slide in a folder, in a process of its own.
func TestLargeChild(t *testing.T) {
	folder := os.Getenv(largeFolder)
	if folder == "" {
		t.Skip("started by TestMemoryOfALargeSlide")
	}
	throughCoarse(t, filepath.Join(folder, synth.SlideHE), filepath.Join(folder, "out.ome.tiff"))
}

// A slide of 100,000×100,000 pixels takes at most 2 GiB, networks aside.
func TestMemoryOfALargeSlide(t *testing.T) {
	if os.Getenv("HISTDIST_FULL") == "" {
		t.Skip("takes minutes: HISTDIST_FULL=1 runs it")
	}
	c := synth.DefaultSlide()
	c.Width, c.Height, c.Islands, c.Tissue = 100_000, 100_000, 3, 0.002
	folder := t.TempDir()
	if err := synth.WriteSlide(t.Context(), folder, c, nil); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLargeChild$", "-test.v")
	cmd.Env = append(os.Environ(), largeFolder+"="+folder)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Skip("this system doesn't say how much memory a process took")
	}
	const most = 2 << 20 // KiB
	t.Logf("%d MiB at most, %v of the processor\n%s", usage.Maxrss>>10, cmd.ProcessState.UserTime(), out)
	if usage.Maxrss > most {
		t.Errorf("%d KiB, want at most %d", usage.Maxrss, most)
	}
}
