//go:build gpu

package cuda_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
)

// TestGroup sums two tensors over two GPUs after copies that still wait, and looks at both.
func TestGroup(t *testing.T) {
	i, err := cuda.Read()
	if err != nil {
		t.Fatal(err)
	}
	if len(i.GPUs) < 2 {
		t.Skip("one GPU")
	}
	members := []*cuda.Device{open(t, cuda.Limits{}), openGPU(t, 1, cuda.Limits{})}
	g, err := cuda.NewGroup(members)
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{1000, 1}
	tensors := make([]device.Parts, len(sizes))
	var memory [2][]device.Memory
	for k, n := range sizes {
		tensors[k].N = n
		for i, d := range members {
			m, err := d.Alloc(int64(4 * n))
			if err != nil {
				t.Fatal(err)
			}
			memory[i] = append(memory[i], m)
			tensors[k].At = append(tensors[k].At, m.Ptr)
			x := slices.Repeat([]float32{float32(1 + 10*i + k)}, n)
			if err := d.Upload(m.Ptr, device.Bytes(x)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(g.Sum(tensors), g.Join()); err != nil {
		t.Fatal(err)
	}
	for k, n := range sizes {
		want := slices.Repeat([]float32{float32(1 + k + 11 + k)}, n)
		for i, d := range members {
			got := make([]float32, n)
			if err := errors.Join(d.Synchronize(), d.Download(device.Bytes(got), tensors[k].At[i])); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("tensor %d on GPU %d: %v…, want %v…", k, i, got[0], want[0])
			}
		}
	}
	// The first tensor, equal on both, is summed for the second GPU alone, which gives it to the first.
	tensors[0].Owner = 1
	want := slices.Repeat([]float32{2 * 12}, sizes[0])
	if err := errors.Join(g.Reduce(tensors[:1]), g.Spread(tensors[:1]), g.Join()); err != nil {
		t.Fatal(err)
	}
	for i, d := range members {
		got := make([]float32, sizes[0])
		if err := errors.Join(d.Synchronize(), d.Download(device.Bytes(got), tensors[0].At[i])); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("owned by GPU 1, on GPU %d: %v…, want %v…", i, got[0], want[0])
		}
	}
	if err := g.Sum([]device.Parts{{At: tensors[0].At[:1], N: 1}}); err == nil {
		t.Error("one address for two GPUs is no error")
	}
	var errs []error
	for i, d := range members {
		for _, m := range memory[i] {
			errs = append(errs, d.Free(m))
		}
	}
	if err := errors.Join(append(errs, g.Close())...); err != nil {
		t.Error(err)
	}
}

// TestGroupSaysWhatIsMissing: without NCCL, and with NCCL's refusal.
func TestGroupSaysWhatIsMissing(t *testing.T) {
	d := open(t, cuda.Limits{})
	if _, err := cuda.NewGroup([]*cuda.Device{d, d}); err == nil || !strings.Contains(err.Error(), "join the GPUs") {
		t.Errorf("one GPU twice: error %v", err)
	}
	t.Setenv(libraries, "none")
	if _, err := cuda.NewGroup([]*cuda.Device{d}); !errors.Is(err, cuda.ErrNoLibrary) {
		t.Errorf("no library: error %v, want ErrNoLibrary", err)
	}
}
