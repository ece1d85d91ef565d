package vm_test

import (
	"strconv"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/networktest"
)

// perceptron is two layers on rows of 16 numbers. Its second weight is read by two kernels.
func perceptron(t *testing.T, rows int, bind func(gorgonia.Nodes)) (out *gorgonia.Node, s *op.Scope) {
	s = op.NewScope("net")
	h := op.SiLU.Apply(s, nn.Linear(s.Sub("first"), s.Input("x", rows, 16), nn.LinearConfig{Out: 32}))
	w := s.Sub("second").Param("weight", 32, 32)
	h = op.Linear{}.Apply(s, op.SiLU.Apply(s, op.Linear{}.Apply(s, h, w, nil, nil)), w, nil, nil)
	out = nn.Linear(s.Sub("last"), h, nn.LinearConfig{Out: 16, NoBias: true})
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	bind(s.Params())
	return out, s
}

func bindFilled(t *testing.T) func(gorgonia.Nodes) {
	return func(params gorgonia.Nodes) {
		for i, p := range params {
			if err := gorgonia.Let(p, filled(p.Shape(), uint64(i), 0, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCopiesThatAreNotRead compares what a program holds of its parameters on a device outside of the process's memory
// with what its kernels read.
func TestCopiesThatAreNotRead(t *testing.T) {
	d := open(t, networktest.Walled())
	out, s := perceptron(t, 5, bindFilled(t))
	for _, c := range []struct {
		name    string
		outputs gorgonia.Nodes
		options vm.Options
	}{
		{"rearranged", gorgonia.Nodes{out}, vm.Options{}},
		{"low memory", gorgonia.Nodes{out}, vm.Options{LowMemory: true}},
		{"outputs too", append(gorgonia.Nodes{out}, s.Params()...), vm.Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inside := c.options
			inside.Device = open(t, networktest.Names()[0])
			local := compile(t, c.outputs, inside)
			want := map[*gorgonia.Node]bool{}
			bytes := int64(0)
			for _, p := range s.Params() {
				want[p] = true
				bytes += int64(op.Size(p.Shape())) * 4
			}
			for _, n := range local.Unread() {
				bytes -= int64(op.Size(n.Shape())) * 4
			}
			c.options.Device = d
			p := compile(t, c.outputs, c.options)
			if got := p.Report().Memory; got.Copies != bytes || got.Packed != local.Report().Memory.Packed {
				t.Errorf("%d bytes of copies and %d of packed weights: want %d and %d", got.Copies, got.Packed, bytes,
					local.Report().Memory.Packed)
			}
			if got := p.Unread(); len(got) != len(want) {
				t.Errorf("%v of the process's memory are not read: want all of %v", got, s.Params())
			}
			feeds := vm.Feeds{s.Leaf("x"): filled(s.Leaf("x").Shape(), 99, 0, 1)}
			if hash(run(t, p, feeds)) != hash(run(t, local, feeds)) {
				t.Error("other bytes than in the process's memory")
			}
		})
	}
}

// TestCopiesAreShared compiles programs of other sizes from the same values, and one of others, whose copies come to
// lie where those of the first were.
func TestCopiesAreShared(t *testing.T) {
	d := open(t, networktest.Walled())
	var bound gorgonia.Nodes
	first, s := perceptron(t, 5, bindFilled(t))
	bound = s.Params()
	again := func(params gorgonia.Nodes) {
		for i, p := range params {
			if err := gorgonia.Let(p, bound[i].Value()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, low := range []bool{false, true} {
		o := vm.Options{Device: d, LowMemory: low}
		compile(t, gorgonia.Nodes{first}, o)
		before := d.Allocated()
		second, s2 := perceptron(t, 3, again)
		p := compile(t, gorgonia.Nodes{second}, o)
		if m := p.Report().Memory; d.Allocated()-before != m.Arena {
			t.Errorf("low memory %v: a second program of the same values took %d bytes: want its arena alone, %d", low,
				d.Allocated()-before, m.Arena)
		}
		other, s3 := perceptron(t, 3, func(params gorgonia.Nodes) {
			for i, p := range params {
				if err := gorgonia.Let(p, filled(p.Shape(), uint64(i+50), 0, 1)); err != nil {
					t.Fatal(err)
				}
			}
		})
		q := compile(t, gorgonia.Nodes{other}, o)
		for _, x := range []struct {
			p   *vm.Program
			out *gorgonia.Node
			s   *op.Scope
		}{{p, second, s2}, {q, other, s3}} {
			feeds := vm.Feeds{x.s.Leaf("x"): filled(x.s.Leaf("x").Shape(), 99, 0, 1)}
			local := compile(t, gorgonia.Nodes{x.out}, vm.Options{Device: open(t, networktest.Names()[0]), LowMemory: low})
			if hash(run(t, x.p, feeds)) != hash(run(t, local, feeds)) {
				t.Errorf("low memory %v: other bytes than in the process's memory", low)
			}
		}
	}
}

// TestCopiesComeAndGo counts what is allocated at once while a program is compiled whose kernels rearrange all weights.
func TestCopiesComeAndGo(t *testing.T) {
	s := op.NewScope("net")
	h := s.Input("x", 4, 64)
	const layers = 8
	for i := range layers {
		h = nn.Linear(s.Sub(strconv.Itoa(i)), h, nn.LinearConfig{Out: 64, NoBias: true})
	}
	bindFilled(t)(s.Params())
	d := &watched{Device: open(t, networktest.Walled())}
	p := compile(t, gorgonia.Nodes{h}, vm.Options{Device: d})
	if local := compile(t, gorgonia.Nodes{h}, vm.Options{Device: open(t,
		networktest.Names()[0])}); len(local.Unread()) < layers {
		t.Skip("the device reads its weights in place")
	}
	m := p.Report().Memory
	if limit := m.Packed + m.Arena + 64*64*4; d.most > limit {
		t.Errorf("%d bytes at once: want at most %d, one copy of a weight beside what is kept", d.most, limit)
	}
}

// watched notes the most that was allocated at once.
type watched struct {
	device.Device
	most int64
}

// Alloc notes what is there then.
func (w *watched) Alloc(bytes int64) (device.Memory, error) {
	m, err := w.Device.Alloc(bytes)
	w.most = max(w.most, w.Allocated())
	return m, err
}

// Compile notes what is there after it.
func (w *watched) Compile(r device.Request) (device.Kernel, error) {
	k, err := w.Device.Compile(r)
	w.most = max(w.most, w.Allocated())
	return k, err
}
