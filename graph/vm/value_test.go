package vm_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/walled"
)

// resident puts numbers into a device's memory.
func resident(t *testing.T, d device.Device, x *tensor.Dense) *device.Value {
	t.Helper()
	v, err := device.NewValue(d, x.Shape()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := v.Write(x.Float32s()); err != nil {
		t.Fatal(err)
	}
	return v
}

func numbers(t *testing.T, v *device.Value) []float32 {
	t.Helper()
	x := make([]float32, v.Size())
	if err := v.Read(x); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestValues trains the network of the other tests for two steps, on tensors of the process and on values of a device,
// which its three programs share: gradients, update and outputs.
func TestValues(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		steps := func(d device.Device, value func(x *tensor.Dense) gorgonia.Value) (losses [][]float32,
			params []gorgonia.Value,
		) {
			n := newNetwork(t)
			s := n.scope
			sums, leaves, grads := []gorgonia.Value{}, s.Params(), n.outputs[2:]
			keep := s.Input("keep", 1)
			u := op.NewScope("update")
			hyper := u.Input("hyper", 7)
			outputs, updates := gorgonia.Nodes{n.loss}, gorgonia.Nodes{}
			for i, p := range leaves {
				params = append(params, value(p.Value().(*tensor.Dense)))
				sums = append(sums, value(filled(p.Shape(), 0, 0, 0)))
				sum := s.Sub("gradient").Input(p.Name(), p.Shape()...)
				outputs = append(outputs, op.Accumulate{}.Apply(s, sum, grads[i], keep))
				var args gorgonia.Nodes
				for j, v := range []gorgonia.Value{
					params[i], sums[i], value(filled(p.Shape(), 0, 0, 0)),
					value(filled(p.Shape(), 0, 0, 0)),
				} {
					args = append(args, u.Sub(strconv.Itoa(j)).Input(p.Name(), p.Shape()...))
					let(t, args[j], v)
				}
				updates = append(updates, op.AdamW{}.Apply(u,
					op.AdamWOperands{Param: args[0], Gradient: args[1], ExpAvg: args[2], ExpAvgSq: args[3], Hyper: hyper}))
				let(t, p, params[i])
				let(t, sum, sums[i])
			}
			step := compile(t, outputs, vm.Options{Device: d, Precision: precision, Vary: leaves})
			update := compile(t, updates, vm.Options{Device: d})
			for range 2 {
				n.feeds[keep] = tensor.New(tensor.WithShape(1), tensor.WithBacking([]float32{0}))
				out, err := step.Run(t.Context(), n.feeds)
				if err != nil {
					t.Fatal(err)
				}
				losses = append(losses, slices.Clone(out[0].Float32s()))
				for _, o := range out[1:] {
					if (o == nil) == d.HostMemory() {
						t.Fatalf("results that are parameters are %v on %s", o, d.Name())
					}
				}
				h := op.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}.Hyper(1e-2, 1)
				if _, err := update.Run(t.Context(), vm.Feeds{hyper: h}); err != nil {
					t.Fatal(err)
				}
			}
			return losses, params
		}
		inside, behind := d, d
		if !d.HostMemory() {
			inside = open(t, strings.TrimPrefix(d.Name(), "walled:"))
		}
		want, tensors := steps(inside, func(x *tensor.Dense) gorgonia.Value { return x })
		downloads := int64(0)
		if r, ok := d.(*walled.Device); ok {
			downloads = -r.Downloaded()
		}
		got, values := steps(behind, func(x *tensor.Dense) gorgonia.Value { return resident(t, d, x) })
		if r, ok := d.(*walled.Device); ok {
			if downloads += r.Downloaded(); downloads != 2*4 {
				t.Errorf("%d bytes came from the device in two steps: want the losses alone", downloads)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("losses (-tensors +values):\n%s", diff)
		}
		for i, v := range values {
			if !slices.Equal(numbers(t, v.(*device.Value)), tensors[i].(*tensor.Dense).Float32s()) {
				t.Errorf("parameter %d is another one", i)
			}
		}
	})
}

func let(t *testing.T, n *gorgonia.Node, v gorgonia.Value) {
	t.Helper()
	if err := gorgonia.Let(n, v); err != nil {
		t.Fatal(err)
	}
}

func TestValueAsFeed(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		out, s := perceptron(t, 5, bindFilled(t))
		x := filled(tensor.Shape{5, 16}, 7, 0, 1)
		want := hash(run(t, compile(t, gorgonia.Nodes{out}, vm.Options{Device: d, Precision: precision}),
			vm.Feeds{s.Leaf("x"): x}))
		for name, o := range map[string]vm.Options{"": {}, "invariant ": {Invariant: gorgonia.Nodes{s.Leaf("x")}}} {
			o.Device, o.Precision = d, precision
			p := compile(t, gorgonia.Nodes{out}, o)
			for _, v := range []*device.Value{
				resident(t, d, x), resident(t, d, x),
				resident(t, open(t, networktest.Walled()), x),
			} {
				if hash(run(t, p, vm.Feeds{s.Leaf("x"): v})) != want {
					t.Errorf("other bytes for an %svalue on %s", name, v.Device().Name())
				}
			}
		}
	})
}

func TestValuesOutOfPlace(t *testing.T) {
	d, other := open(t, networktest.Walled()), open(t, networktest.Walled())
	for _, c := range []struct {
		name  string
		value func() gorgonia.Value
		want  string
	}{
		{"another device's", func() gorgonia.Value { return resident(t, other, filled(tensor.Shape{3}, 1, 0, 1)) }, "want one on walled:"},
		{"closed", func() gorgonia.Value {
			v := resident(t, d, filled(tensor.Shape{3}, 1, 0, 1))
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			return v
		}, "was closed"},
		{"the process's", func() gorgonia.Value { return filled(tensor.Shape{3}, 1, 0, 1) }, "changes between runs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := op.NewScope("net")
			total := s.Param("total", 3)
			let(t, total, c.value())
			_, err := vm.Compile(gorgonia.Nodes{op.Accumulate{}.Apply(s, total, s.Input("x", 3), s.Input("keep", 1))},
				vm.Options{Device: d})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "total") {
				t.Errorf("got %v, want the name and %q", err, c.want)
			}
		})
	}
}
