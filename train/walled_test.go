package train_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/walled"
	"github.com/histdist/histdist/train"
)

// TestTrainingOutsideOfTheProcessMemory trains on a device whose memory the process can't reach, interrupted and
// resumed, and wants the checkpoint of the same device in the process's memory. What comes back in a step is the losses
// and the norm.
func TestTrainingOutsideOfTheProcessMemory(t *testing.T) {
	net, inside, outside := network(t), t.TempDir(), t.TempDir()
	c := tinyRun()
	c.MaxSteps = 6
	run := func(d device.Device, folder string, until int) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		trainer, err := setupOn(d, c, net)
		if err != nil {
			t.Fatal(err)
		}
		r, measured := d.(*walled.Device)
		last := int64(0)
		o := train.RunOptions{
			Folder: folder, Examples: noisy{length: 7}, Resume: train.Resume{Allowed: true},
			Observe: progress.On(
				func(m train.Metrics) error {
					if m.Step == until {
						cancel()
					}
					if measured {
						step, before := r.Downloaded()-last, m.Step-1
						last = r.Downloaded()
						if fresh := before == 0 || before == 3; !fresh && before%c.CheckpointEvery != 0 &&
							step != int64(4*(c.Accumulate+1)) {
							t.Errorf("step %d brought %d bytes back", m.Step, step)
						}
					}
					return nil
				},
			),
		}
		_, err = train.Run(ctx, trainer, o)
		return errors.Join(err, trainer.Close())
	}
	if err := run(networktest.Open(t, catalog.Names()[0]), inside, 0); err != nil {
		t.Fatal(err)
	}
	if err := run(networktest.Open(t, networktest.Walled()), outside, 3); !errors.Is(err, train.ErrStopped) {
		t.Fatalf("error %v, want ErrStopped", err)
	}
	if err := run(networktest.Open(t, networktest.Walled()), outside, 0); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{inside, outside} { // they name the device
		for _, name := range []string{"state.json", "manifest.json"} {
			if err := os.Remove(filepath.Join(dir, "checkpoint-6", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	same(t, filepath.Join(outside, "checkpoint-6"), filepath.Join(inside, "checkpoint-6"))
}

// dying is a device whose kernels fail from some run on, as those of a GPU that is lost.
type dying struct {
	device.Device
	left int
}

var errLost = errors.New("the GPU is lost")

// Compile returns a kernel that counts.
func (d *dying) Compile(r device.Request) (device.Kernel, error) {
	k, err := d.Device.Compile(r)
	return &mortal{k, d}, err
}

type mortal struct {
	device.Kernel
	device *dying
}

// Run fails when nothing is left.
func (k *mortal) Run(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	if k.device.left--; k.device.left < 0 {
		return errLost
	}
	return k.Kernel.Run(out, in, workspace)
}

// Download fails likewise.
func (d *dying) Download(dst []byte, src device.Pointer) error {
	if d.left < 0 {
		return errLost
	}
	return d.Device.Download(dst, src)
}

// TestDeviceIsLost goes on from the last checkpoint after a device was lost in the middle of a run.
func TestDeviceIsLost(t *testing.T) {
	net, whole, broken := network(t), t.TempDir(), t.TempDir()
	c := tinyRun()
	c.MaxSteps = 9
	run := func(folder string, kernels int) (train.Result, error) {
		d := &dying{networktest.Open(t, networktest.Walled()), kernels}
		trainer, err := setupOn(d, c, net)
		if err != nil {
			t.Fatal(err)
		}
		r, err := train.Run(t.Context(), trainer,
			train.RunOptions{Folder: folder, Examples: noisy{length: 7}, Resume: train.Resume{Allowed: true}})
		return r, errors.Join(err, trainer.Close())
	}
	const many = 1 << 40
	if _, err := run(whole, many); err != nil {
		t.Fatal(err)
	}
	var lost train.Result
	for kernels := 3000; lost.Checkpoint == ""; kernels += 3000 { // until it is lost after a checkpoint
		var err error
		if lost, err = run(broken, kernels); !errors.Is(err, errLost) {
			t.Fatalf("error %v of %d kernels, want that the device is lost", err, kernels)
		}
	}
	r, err := run(broken, many)
	if err != nil {
		t.Fatal(err)
	}
	if saved := filepath.Join(broken, fmt.Sprintf("checkpoint-%d", r.Resumed)); saved != lost.Checkpoint {
		t.Errorf("the run went on from %s, want %s", saved, lost.Checkpoint)
	}
	same(t, filepath.Join(broken, "checkpoint-9"), filepath.Join(whole, "checkpoint-9"))
}

// small is a device with little memory.
type small struct{ device.Device }

// Available is next to nothing.
func (small) Available() int64 { return 64 << 10 }

func TestTooLittleMemoryIsRefused(t *testing.T) {
	_, err := setupOn(small{networktest.Open(t, networktest.Walled())}, tinyRun(), network(t))
	if !errors.Is(err, vm.ErrMemory) || !strings.Contains(err.Error(), "GiB may be used") ||
		!strings.Contains(err.Error(), "walled:") {
		t.Errorf("error %v, want the device and how much it has", err)
	}
}
