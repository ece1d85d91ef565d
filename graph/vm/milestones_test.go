package vm_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// TestMilestones sums gradients in groups and reads each when it is reached, in a first run and in later ones, which
// some devices have recorded: it must be the sum already, and the last group's must not be there at the first
// milestone.
func TestMilestones(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		n := newNetwork(t)
		s := n.scope
		params := s.Params()
		outputs, values := gorgonia.Nodes{n.loss}, []*device.Value{}
		keep := s.Input("keep", 1)
		for i, p := range params {
			v := resident(t, d, filled(p.Shape(), 0, 0, 0))
			sum := s.Sub("gradient").Input(p.Name(), p.Shape()...)
			let(t, sum, v)
			values = append(values, v)
			outputs = append(outputs, op.Accumulate{}.Apply(s, sum, n.outputs[2+i], keep))
		}
		half := len(params) / 2
		p := compile(t, outputs, vm.Options{
			Device: d, Precision: precision, Milestones: []gorgonia.Nodes{outputs[1+half:], outputs[1 : 1+half]},
		})
		n.feeds.Set(keep, []float32{1})
		want := make([][]float32, len(params))
		for run := range 3 {
			var reached []int
			first := numbers(t, values[0])
			atFirst := make([][]float32, len(params))
			_, err := p.RunPast(t.Context(), n.feeds, func(milestone int) error {
				if len(reached) == 0 {
					for i, v := range values {
						atFirst[i] = numbers(t, v)
					}
				}
				reached = append(reached, milestone)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(reached, []int{0, 1}) {
				t.Fatalf("milestones %v, want 0 and 1", reached)
			}
			if !slices.Equal(atFirst[0], first) {
				t.Errorf("run %d: the first layer's gradient is there at the first milestone already", run)
			}
			for i, v := range values {
				got := numbers(t, v)
				if i >= half && !slices.Equal(atFirst[i], got) {
					t.Errorf("run %d: %s is not complete at its milestone", run, params[i].Name())
				}
				for k := range want[i] {
					// The sum of equal terms: exact but for the third, which rounds.
					if off := got[k] - want[i][k]*float32(run+1); max(off, -off) > 1e-6*max(got[k], -got[k]) {
						t.Fatalf("run %d: %s: %g, want %g", run, params[i].Name(), got[k], want[i][k]*float32(run+1))
					}
				}
				if run == 0 {
					want[i] = got
				}
			}
		}
		wrong := errors.New("wrong")
		if _, err := p.RunPast(t.Context(), n.feeds, func(int) error { return wrong }); !errors.Is(err, wrong) {
			t.Errorf("error %v, want that of the milestone", err)
		}
	})
}

func TestMilestoneOfNoOutput(t *testing.T) {
	n := newNetwork(t)
	d := open(t, "ref")
	_, err := vm.Compile(gorgonia.Nodes{n.loss}, vm.Options{Device: d, Milestones: []gorgonia.Nodes{{n.out}}})
	if err == nil || !strings.Contains(err.Error(), "milestone 0") {
		t.Errorf("error %v, want one about milestone 0", err)
	}
}
