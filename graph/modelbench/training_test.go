package modelbench

import (
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/networktest"
)

// TestTrainingStep runs a training step of a small network in the process's memory and outside of it.
func TestTrainingStep(t *testing.T) {
	test := func(t *testing.T, d device.Device) {
		s := op.NewScope("net")
		out := op.Linear{}.Apply(s, s.Input("x", 3, 8), s.Param("weight", 8, 8), s.Param("bias", 8), nil)
		outputs, err := trainingStep(s, out)
		if err != nil {
			t.Fatal(err)
		}
		if !updates(outputs) {
			t.Error("a training step updates its parameters")
		}
		r, err := run(t.Context(), Options{Device: d}, s, outputs, 2)
		if err != nil || r.Arena == 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	networktest.EachDevice(t, test)
	t.Run("walled", func(t *testing.T) { test(t, networktest.Open(t, networktest.Walled())) })
}
