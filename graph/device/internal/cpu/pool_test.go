//go:build cgo

package cpu_test

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPool runs the thread pool alone, in C, under threads that come late, stand still and fall asleep; on one
// processor too, where only one of them can run; and under the thread sanitizer, where the compiler has it.
func TestPool(t *testing.T) {
	compiler := strings.Fields(cmp.Or(os.Getenv("CC"), "cc"))
	if _, err := exec.LookPath(compiler[0]); err != nil {
		t.Skip("needs a C compiler: ", err)
	}
	if _, err := os.Stat("pool.c"); err != nil {
		t.Skip("needs the sources: ", err)
	}
	for _, build := range []struct {
		name  string
		flags []string
		may   bool // fail to be built
	}{
		{"plain", []string{"-O2"}, false},
		{"thread sanitizer", []string{"-O1", "-g", "-fsanitize=thread"}, true},
	} {
		t.Run(build.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "pool_stress")
			args := append(append(compiler[1:], build.flags...), "-std=gnu11", "-o", program, "testdata/pool_stress.c",
				"-lpthread")
			if out, err := exec.Command(compiler[0], args...).CombinedOutput(); err != nil {
				if build.may {
					t.Skipf("%v\n%s", err, out)
				}
				t.Fatalf("%v\n%s", err, out)
			}
			if out, err := exec.Command(program, "none").CombinedOutput(); build.may && err != nil {
				t.Skipf("the sanitizer does not run here: %s", out)
			}
			for _, name := range []string{"many", "late", "held", "idle"} {
				t.Run(name, func(t *testing.T) { runPool(t, program, name) })
				t.Run(name+" on one processor", func(t *testing.T) {
					if _, err := exec.LookPath("taskset"); err != nil {
						t.Skip(err)
					}
					runPool(t, "taskset", "-c", firstProcessor(t), program, name)
				})
			}
		})
	}
}

// runPool ends a pool that has lost a thread, and so would never end itself, after what is long on any machine.
func runPool(t *testing.T, name string, args ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// firstProcessor is one that this process may run on.
func firstProcessor(t *testing.T) string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, list, _ := strings.Cut(string(status), "Cpus_allowed_list:")
	return strings.FieldsFunc(list, func(r rune) bool { return r < '0' || r > '9' })[0]
}
