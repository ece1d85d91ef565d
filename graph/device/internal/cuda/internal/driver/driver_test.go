//go:build gpu

package driver_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
)

// TestDriverIsMissing needs a process that has opened no driver yet.
func TestDriverIsMissing(t *testing.T) {
	if library := os.Getenv("HISTDIST_TEST_DRIVER"); library != "" {
		_, err := driver.Open(library)
		if !errors.Is(err, driver.ErrNoDriver) || !strings.Contains(err.Error(), "install NVIDIA's driver") {
			t.Errorf("error %v, want ErrNoDriver that says what to install", err)
		}
		return
	}
	for _, library := range []string{"libcuda-of-nobody.so.1", "libm.so.6"} {
		c := exec.Command(os.Args[0], "-test.run=^TestDriverIsMissing$")
		c.Env = append(os.Environ(), "HISTDIST_TEST_DRIVER="+library)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", library, err, out)
		}
	}
}
