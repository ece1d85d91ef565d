package catalog_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/device/internal/ref"
)

// TestGroup sums over more than one piece of a buffer, on devices of different kinds.
func TestGroup(t *testing.T) {
	fast, err := catalog.Open("auto", 1)
	if err != nil {
		t.Fatal(err)
	}
	members := []device.Device{ref.New(), ref.New(), fast}
	g, err := catalog.Group(members)
	if err != nil {
		t.Fatal(err)
	}
	const n = 1<<20 + 3
	tensors := []device.Parts{{N: n}, {N: 1}}
	want := [][]float32{make([]float32, n), make([]float32, 1)}
	var memory []device.Memory
	for i, d := range members {
		for k := range tensors {
			m, err := d.Alloc(4 * n)
			if err != nil {
				t.Fatal(err)
			}
			memory = append(memory, m)
			tensors[k].At = append(tensors[k].At, m.Ptr)
			x := make([]float32, tensors[k].N)
			for j := range x {
				x[j] = 1 / float32(1+j%97+10*i+k)
				want[k][j] += x[j] // in the order of the devices
			}
			if err := d.Upload(m.Ptr, device.Bytes(x)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := g.Sum(tensors); err != nil {
		t.Fatal(err)
	}
	for i, d := range members {
		for k, p := range tensors {
			got := make([]float32, p.N)
			if err := d.Download(device.Bytes(got), p.At[i]); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[k], got); diff != "" {
				t.Errorf("tensor %d on device %d (-want +got):\n%.2000s", k, i, diff)
			}
		}
	}
	tensors[0].Owner = 1
	spread := make([]float32, n)
	for i := range spread {
		spread[i] = float32(i)
	}
	if err := errors.Join(members[1].Upload(tensors[0].At[1], device.Bytes(spread)), g.Spread(tensors[:1])); err != nil {
		t.Fatal(err)
	}
	for i, d := range members {
		got := make([]float32, n)
		if err := d.Download(device.Bytes(got), tensors[0].At[i]); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, spread) {
			t.Errorf("device %d does not have what device 1 had", i)
		}
	}
	var errs []error
	for i, m := range memory {
		errs = append(errs, members[i/len(tensors)].Free(m))
	}
	if err := errors.Join(append(errs, g.Close(), fast.Close())...); err != nil {
		t.Error(err)
	}
	if err := g.Sum([]device.Parts{{At: tensors[0].At[:1], N: 1}}); err == nil {
		t.Error("one address for three devices is no error")
	}
}

func TestGroupsThatAreNone(t *testing.T) {
	d := ref.New()
	for name, members := range map[string][]device.Device{"one": {d}, "twice": {d, d}} {
		if _, err := catalog.Group(members); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
