package train_test

import (
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// losses keeps those of a run's steps.
type losses []float64

func (l *losses) add(m train.Metrics) error {
	*l = append(*l, m.Loss)
	return nil
}

// runOn trains the tiny U-Net on n devices.
func runOn(t *testing.T, n int, c train.Config, o train.RunOptions) losses {
	t.Helper()
	o.Examples = noisy{length: 7}
	return runNetworkOn(t, n, c, network(t), o)
}

func runNetworkOn(t *testing.T, n int, c train.Config, net string, o train.RunOptions) (l losses) {
	t.Helper()
	members := make([]device.Device, n)
	for i := range members {
		d, err := networktest.Fastest(1)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}()
		members[i] = d
	}
	options := train.Options{
		Device: members[0], Peers: members[1:], UNet: net,
		Schedule: sdSchedule(t, c.Prediction),
	}
	if n > 1 {
		g, err := catalog.Group(members)
		if err != nil {
			t.Fatal(err)
		}
		options.Group = g
	}
	trainer, err := train.New(c, options)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := trainer.Close(); err != nil {
			t.Error(err)
		}
	}()
	o.Observe = progress.On(l.add)
	if _, err := train.Run(t.Context(), trainer, o); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestDevicesShareTheWork: a step learns from the same examples and noise on one device, two and three, an epoch's last
// step of a single micro-step included. Only sums of gradients are rounded in another order: by 2⁻²⁴ of their terms,
// which AdamW carries on from step to step.
func TestDevicesShareTheWork(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.Accumulate = 9, 3
	want := runOn(t, 1, c, train.RunOptions{Folder: t.TempDir()})
	for n := 2; n <= 3; n++ {
		got := runOn(t, n, c, train.RunOptions{Folder: t.TempDir()})
		if len(got) != len(want) {
			t.Fatalf("%d devices: %d steps, want %d", n, len(got), len(want))
		}
		for i := range want {
			if off := math.Abs(got[i]-want[i]) / want[i]; !(off < 1e-5) {
				t.Errorf("%d devices, step %d: loss %g, want %g", n, i+1, got[i], want[i])
			}
		}
	}
}

// TestDevicesResume: a run on two devices that is ended and goes on has the bytes of one that was not.
func TestDevicesResume(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.CheckpointEvery = 8, 4
	whole, parts := t.TempDir(), t.TempDir()
	runOn(t, 2, c, train.RunOptions{Folder: whole})
	half := c
	half.MaxSteps = 4
	runOn(t, 2, half, train.RunOptions{Folder: parts})
	runOn(t, 2, c, train.RunOptions{Folder: parts, Resume: train.Resume{Allowed: true, AcceptChanges: true}})
	name := filepath.Join("checkpoint-8", "unet")
	want, got := files(t, filepath.Join(whole, name)), files(t, filepath.Join(parts, name))
	if len(want) == 0 || len(got) != len(want) {
		t.Fatalf("%d files, want %d", len(got), len(want))
	}
	for file := range want {
		if got[file] != want[file] {
			t.Errorf("%s differs", file)
		}
	}
}

func TestDevicesThatAreTooMany(t *testing.T) {
	d := networktest.Open(t, "ref")
	other := networktest.Open(t, "ref")
	g, err := catalog.Group([]device.Device{d, other})
	if err != nil {
		t.Fatal(err)
	}
	c := tinyRun()
	for name, test := range map[string]struct {
		accumulate int
		group      device.Group
		want       string
	}{
		"micro-steps": {1, g, "accumulate is 1: want at least one micro-step for each of 2 devices"},
		"no group":    {2, nil, "set Options.Group"},
	} {
		c.Accumulate = test.accumulate
		_, err := train.New(c, train.Options{
			Device: d, Peers: []device.Device{other}, Group: test.group, UNet: network(t), Schedule: sdSchedule(t, c.Prediction),
		})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
	if n := []int64{d.Allocated(), other.Allocated()}; !slices.Equal(n, []int64{0, 0}) {
		t.Error(errors.New("memory is left"), n)
	}
}
