package vm_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// TestUnreadIsNotRead overwrites what a program says that it doesn't read, and a parameter that it reads.
func TestUnreadIsNotRead(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		n := newNetwork(t)
		p := compile(t, n.outputs, vm.Options{Device: d, Precision: precision})
		want := hash(run(t, p, n.feeds))
		unread := p.Unread()
		for _, u := range unread {
			spoil(u)
		}
		if hash(run(t, p, n.feeds)) != want {
			t.Errorf("other bytes without the %d parameters that are not read: %v", len(unread), unread)
		}
		read := n.scope.Leaf("conv_in.bias")
		if !d.HostMemory() {
			if len(unread) != len(n.scope.Params()) {
				t.Errorf("%d of %d parameters are not read, all are copied", len(unread), len(n.scope.Params()))
			}
			return
		}
		if slices.Contains(unread, read) {
			t.Fatalf("%s is listed", read.Name())
		}
		spoil(read)
		if hash(run(t, p, n.feeds)) == want {
			t.Errorf("the same bytes without %s", read.Name())
		}
	})
}

func spoil(n *gorgonia.Node) {
	for i := range n.Value().(*tensor.Dense).Float32s() {
		n.Value().(*tensor.Dense).Float32s()[i] = float32(math.NaN())
	}
}

func TestUnread(t *testing.T) {
	names := func(nodes gorgonia.Nodes) []string {
		var out []string
		for _, n := range nodes {
			out = append(out, n.Name())
		}
		slices.Sort(out)
		return out
	}
	bind := func(s *op.Scope) {
		for i, p := range s.Params() {
			if err := gorgonia.Let(p, filled(p.Shape(), uint64(i), 0, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := op.NewScope("net")
	x := s.Input("x", 5, 16)
	h := nn.Linear(s.Sub("first"), x, nn.LinearConfig{Out: 16})
	out := nn.Linear(s.Sub("last"), op.SiLU.Apply(s, h), nn.LinearConfig{Out: 16, NoBias: true})
	bind(s)
	weight := s.Leaf("last.weight")

	fast, plain := open(t, catalog.Names()[0]), open(t, "ref")
	rearranged := []string{"first.weight", "last.weight"}
	if fast.Name() == "ref" { // a build without C
		rearranged = nil
	}
	for _, c := range []struct {
		name    string
		outputs gorgonia.Nodes
		options vm.Options
		want    []string
	}{
		{"rearranged", gorgonia.Nodes{out}, vm.Options{Device: fast}, rearranged},
		{"an output too", gorgonia.Nodes{out, weight}, vm.Options{Device: fast}, slices.DeleteFunc(slices.Clone(rearranged), func(n string) bool { return n == weight.Name() })},
		{"low memory", gorgonia.Nodes{out}, vm.Options{Device: fast, LowMemory: true}, nil},
		{"varying", gorgonia.Nodes{out}, vm.Options{Device: fast, Vary: s.Params()}, nil},
		{"in place", gorgonia.Nodes{out}, vm.Options{Device: plain}, nil},
		{"copied", gorgonia.Nodes{out}, vm.Options{Device: plain, Precision: vm.Float64}, names(s.Params())},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, names(compile(t, c.outputs, c.options).Unread())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestUnreadOfSharedMemory binds one tensor to two parameters, of which a kernel reads one.
func TestUnreadOfSharedMemory(t *testing.T) {
	s := op.NewScope("net")
	table := s.Param("table", 6, 4)
	h := op.Embedding{}.Apply(s, s.IndexInput("ids", 1, 3), table)
	out := nn.Linear(s.Sub("head"), h, nn.LinearConfig{Out: 6, NoBias: true})
	shared := filled(tensor.Shape{6, 4}, 1, 0, 1)
	for _, p := range s.Params() {
		if err := gorgonia.Let(p, shared); err != nil {
			t.Fatal(err)
		}
	}
	p := compile(t, gorgonia.Nodes{out}, vm.Options{Device: open(t, catalog.Names()[0])})
	if got := p.Unread(); len(got) != 0 {
		t.Errorf("%v are listed, though the embedding reads their memory", got)
	}
}
