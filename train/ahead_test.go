package train_test

import (
	"math"
	"slices"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/walled"
	"github.com/histdist/histdist/train"
)

// TestDrawnAhead: where the device has memory of its own examples are drawn while it works. That changes no number,
// over ends of epochs, skipped steps and micro-steps that one device has for another one.
func TestDrawnAhead(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.Accumulate, c.MaxSkipped = 11, 3, 2
	run := func(far bool, n int, o train.RunOptions) (l losses) {
		t.Helper()
		options := train.Options{UNet: network(t), Schedule: sdSchedule(t, c.Prediction)}
		var members []device.Device
		var err error
		for range n {
			d, err := catalog.Open("auto", 1)
			if err != nil {
				t.Fatal(err)
			}
			if far {
				if d, err = walled.New(d); err != nil {
					t.Fatal(err)
				}
			}
			defer func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}()
			members = append(members, d)
		}
		options.Device, options.Peers = members[0], members[1:]
		if n > 1 {
			if options.Group, err = catalog.Group(members); err != nil {
				t.Fatal(err)
			}
		}
		var trainer *train.Trainer
		trainer, err = train.New(c, options)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := trainer.Close(); err != nil {
				t.Error(err)
			}
		}()
		o.Folder, o.Observe = t.TempDir(), progress.On(l.add)
		result, err := train.Run(t.Context(), trainer, o)
		if err != nil || result.Step != c.MaxSteps {
			t.Fatalf("%+v, %v", result, err)
		}
		return l
	}
	for name, o := range map[string]train.RunOptions{
		"plain": {Examples: noisy{length: 7}},
		"skipped": {Examples: noisy{length: 7, spoil: func(at train.Position, e *train.Example) {
			if at == (train.Position{Epoch: 1, Index: 1}) {
				e.Context[0] = float32(math.NaN())
			}
		}}},
	} {
		for n := 1; n <= 2; n++ {
			if near, far := run(false, n, o), run(true, n, o); !slices.Equal(near, far) {
				t.Errorf("%s on %d devices: losses %v, drawn ahead %v", name, n, near, far)
			}
		}
	}
}
