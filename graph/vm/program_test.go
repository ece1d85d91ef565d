package vm_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/networktest"
)

// network is two residual blocks with attention between them, a loss and the gradients of all parameters.
type network struct {
	scope     *op.Scope
	x, target *gorgonia.Node
	out, loss *gorgonia.Node
	outputs   gorgonia.Nodes // loss and gradients
	feeds     vm.Feeds
}

func newNetwork(t testing.TB) *network {
	s := op.NewScope("net")
	n := &network{scope: s, x: s.Input("x", 2, 7, 5, 8), target: s.Input("target", 2, 7, 5, 8)}
	c := nn.NormConfig{Groups: 4, Eps: 1e-5}
	h := nn.Conv3x3(s.Sub("conv_in"), n.x, 16)
	h = nn.Resnet(s.Sub("resnets.0").Segment(), h, nil, nn.ResnetConfig{Out: 24, Norm: c})
	h = nn.Transformer2D(s.Sub("attentions.0").Segment(), h, s.Input("context", 2, 3, 6),
		nn.Transformer2DConfig{Heads: 3, Groups: 4, Eps: 1e-6, Layers: 1})
	h = nn.Resnet(s.Sub("resnets.1").Segment(), h, nil, nn.ResnetConfig{Out: 16, Norm: c})
	n.out = nn.Conv3x3(s.Sub("conv_out"), h, 8)
	n.loss = op.MSE{}.Apply(s, n.out, n.target, nil)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	for i, p := range s.Params() {
		base := float32(0)
		if strings.Contains(p.Name(), "norm") && strings.HasSuffix(p.Name(), "weight") {
			base = 1
		}
		if err := gorgonia.Let(p, filled(p.Shape(), uint64(i+10), base, 0.4)); err != nil {
			t.Fatal(err)
		}
	}
	grads, err := graph.Gradients(n.loss, s.Params()...)
	if err != nil {
		t.Fatal(err)
	}
	n.outputs = append(gorgonia.Nodes{n.loss, n.out}, grads...)
	n.feeds = vm.Feeds{
		n.x: filled(n.x.Shape(), 1, 0, 2), n.target: filled(n.target.Shape(), 2, 0, 2),
		s.Leaf("context"): filled(s.Leaf("context").Shape(), 3, 0, 2),
	}
	return n
}

// filled is base plus uniform noise of a seed in ±scale/2.
func filled(shape tensor.Shape, seed uint64, base, scale float32) *tensor.Dense {
	x := make([]float32, op.Size(shape))
	z := seed * 0x9E3779B97F4A7C15
	for i := range x {
		z = z*6364136223846793005 + 1442695040888963407
		x[i] = base + scale*(float32(z>>40)/(1<<24)-0.5)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
}

func open(t testing.TB, name string) device.Device {
	d, err := networktest.New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := d.Allocated(); n != 0 {
			t.Errorf("%s: %d bytes are still allocated", name, n)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func compile(t testing.TB, outputs gorgonia.Nodes, o vm.Options) *vm.Program {
	p, err := vm.Compile(outputs, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func run(t testing.TB, p *vm.Program, f vm.Feeds) [][]float32 {
	values, err := p.Run(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]float32
	for _, v := range values {
		out = append(out, append([]float32(nil), v.Float32s()...))
	}
	return out
}

// everyDevice runs a test on all devices and in all precisions that they have.
func everyDevice(t *testing.T, test func(t *testing.T, d device.Device, precision vm.Precision)) {
	for _, name := range append(networktest.Names(), networktest.Walled()) {
		for _, p := range []vm.Precision{vm.Float32, vm.BFloat16} {
			t.Run(fmt.Sprint(name, "/", p), func(t *testing.T) {
				d := open(t, name)
				if p == vm.BFloat16 && !d.Has(device.BFloat16) {
					t.Skip("the device has no bfloat16")
				}
				test(t, d, p)
			})
		}
	}
}

func hash(values [][]float32) string {
	h := sha256.New()
	for _, v := range values {
		h.Write(unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v)))
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestSameBytesEachRun(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		n := newNetwork(t)
		p := compile(t, n.outputs, vm.Options{Device: d, Precision: precision})
		first := hash(run(t, p, n.feeds))
		for range 3 {
			if again := hash(run(t, p, n.feeds)); again != first {
				t.Fatalf("other bytes in another run: %s, %s", first, again)
			}
		}
	})
}

const childProcess = "HISTDIST_TEST_PRINT_HASH"

func TestSameBytesInEachProcess(t *testing.T) {
	name := catalog.Names()[0]
	n := newNetwork(t)
	here := hash(run(t, compile(t, n.outputs, vm.Options{Device: open(t, name)}), n.feeds))
	if os.Getenv(childProcess) != "" {
		fmt.Println(childProcess, here)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSameBytesInEachProcess$", "-test.v")
	cmd.Env = append(os.Environ(), childProcess+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), childProcess+" "+here) {
		t.Errorf("another process got other bytes than %s:\n%s", here, out)
	}
}

func TestRecomputeChangesMemoryOnly(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		n := newNetwork(t)
		kept := compile(t, n.outputs, vm.Options{Device: d, Precision: precision})
		again := compile(t, n.outputs, vm.Options{Device: d, Precision: precision, Recompute: true})
		if a, b := run(t, kept, n.feeds), run(t, again, n.feeds); hash(a) != hash(b) {
			t.Error("recomputation changed the gradients")
		}
		a, b := kept.Report(), again.Report()
		if len(b.Steps) <= len(a.Steps) {
			t.Errorf("%d steps with recomputation, %d without: nothing is computed again", len(b.Steps), len(a.Steps))
		}
	})
}

func TestDevicesAgree(t *testing.T) {
	n := newNetwork(t)
	names := catalog.Names()
	want := run(t, compile(t, n.outputs, vm.Options{Device: open(t, "ref")}), n.feeds)
	for _, name := range names {
		for _, low := range []bool{false, true} {
			got := run(t, compile(t, n.outputs, vm.Options{Device: open(t, name), LowMemory: low}), n.feeds)
			for i := range want {
				var worst, largest float64
				for j, w := range want[i] {
					worst = max(worst, math.Abs(float64(got[i][j]-w)))
					largest = max(largest, math.Abs(float64(w)))
				}
				// Float32 rounding through ten layers, against the largest gradient of its tensor; the biases of keys have none.
				if worst > 2e-5*max(largest, 1e-3) {
					t.Errorf("%s: output %d is off by %.2g of %.2g", name, i, worst, largest)
				}
			}
		}
	}
}

// countdown is a context that ends at the n-th look at it.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestCancelledRunCanBeRepeated(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		n := newNetwork(t)
		p := compile(t, n.outputs, vm.Options{Device: d, Precision: precision})
		want := hash(run(t, p, n.feeds))
		held := d.Allocated()
		for looks := range 12 {
			if _, err := p.Run(&countdown{t.Context(), looks * 3}, n.feeds); !errors.Is(err, context.Canceled) {
				t.Fatalf("cancelled run returned %v", err)
			}
			if d.Allocated() != held {
				t.Fatalf("%d bytes are allocated after a cancelled run, %d before", d.Allocated(), held)
			}
		}
		if again := hash(run(t, p, n.feeds)); again != want {
			t.Error("other bytes after cancelled runs")
		}
	})
}

func TestErrorsNameTheCulprit(t *testing.T) {
	d := open(t, "ref")
	n := newNetwork(t)
	p := compile(t, n.outputs, vm.Options{Device: d})
	with := func(node *gorgonia.Node, x gorgonia.Value) vm.Feeds {
		f := vm.Feeds{}
		for k, v := range n.feeds {
			f[k] = v
		}
		f[node] = x
		return f
	}
	ids := tensor.New(tensor.WithShape(2, 7, 5, 8), tensor.Of(tensor.Int32))
	half := tensor.New(tensor.WithShape(2, 7, 5, 8), tensor.Of(tensor.Int16))
	for _, c := range []struct {
		name  string
		feeds vm.Feeds
		want  string
	}{
		{"missing", vm.Feeds{n.x: n.feeds[n.x]}, "missing feeds: context [2 3 6], target [2 7 5 8]"},
		{"shape", with(n.x, filled(tensor.Shape{2, 7, 5, 4}, 1, 0, 1)), "feed x: shape [2 7 5 4], want [2 7 5 8]"},
		{"ids", with(n.x, ids), "feed x: int32, want float32"},
		{"type", with(n.x, half), "feed x: value of int16: want float32, float64 or int32"},
		{"not an input", with(n.out, n.feeds[n.x]), "not an input of this program, which takes context, target, x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := p.Run(t.Context(), c.feeds)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}

	foreign := gorgonia.Must(gorgonia.Square(n.out))
	for _, c := range []struct {
		name    string
		outputs gorgonia.Nodes
		options vm.Options
		want    string
	}{
		{"no device", n.outputs, vm.Options{}, "no device"},
		{"no outputs", nil, vm.Options{Device: d}, "no outputs"},
		{"nil output", gorgonia.Nodes{nil}, vm.Options{Device: d}, "output 0 is nil"},
		{"foreign", gorgonia.Nodes{foreign}, vm.Options{Device: d}, vm.ErrForeign.Error()},
		{"precision", n.outputs, vm.Options{Device: d, Precision: vm.BFloat16}, "device ref does not compute in bfloat16"},
		{"memory", n.outputs, vm.Options{Device: d, MemoryLimit: 1000}, "not enough memory on ref: the program takes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := vm.Compile(c.outputs, c.options)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
	if _, err := vm.Compile(n.outputs, vm.Options{Device: d, MemoryLimit: 1000}); !errors.Is(err, vm.ErrMemory) ||
		!strings.Contains(err.Error(), "net: ") {
		t.Errorf("got %v, want ErrMemory with the place", err)
	}
}

func TestTwoUpdatesOfOneParameter(t *testing.T) {
	s := op.NewScope("net")
	p, g, hyper := s.Param("w", 3), s.Input("g", 3), s.Input("hyper", 7)
	var outputs gorgonia.Nodes
	for _, name := range []string{"a", "b"} {
		m, v := s.Input(name+".m", 3), s.Input(name+".v", 3)
		for _, n := range []*gorgonia.Node{m, v} {
			if err := gorgonia.Let(n, filled(n.Shape(), 1, 0, 0)); err != nil {
				t.Fatal(err)
			}
		}
		outputs = append(outputs, op.AdamW{}.Apply(s,
			op.AdamWOperands{Param: p, Gradient: g, ExpAvg: m, ExpAvgSq: v, Hyper: hyper}))
	}
	if err := gorgonia.Let(p, filled(p.Shape(), 1, 0, 1)); err != nil {
		t.Fatal(err)
	}
	_, err := vm.Compile(outputs, vm.Options{Device: open(t, "ref")})
	if err == nil || !strings.Contains(err.Error(), "net: AdamW: what it updates is updated by another operation too") {
		t.Errorf("got %v", err)
	}
}

// TestProgramsRunSideBySide runs two programs on one device from two goroutines.
func TestProgramsRunSideBySide(t *testing.T) {
	everyDevice(t, func(t *testing.T, d device.Device, precision vm.Precision) {
		n := newNetwork(t)
		a := compile(t, n.outputs, vm.Options{Device: d, Precision: precision})
		b := compile(t, n.outputs, vm.Options{Device: d, Precision: precision, Recompute: true})
		want := hash(run(t, a, n.feeds))
		var wg sync.WaitGroup
		for _, p := range []*vm.Program{a, b} {
			wg.Go(func() {
				for range 5 {
					if _, err := p.Run(t.Context(), n.feeds); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if hash(run(t, a, n.feeds)) != want || hash(run(t, b, n.feeds)) != want {
			t.Error("other bytes side by side")
		}
	})
}

func TestUnsupportedOperationIsNamed(t *testing.T) {
	n := newNetwork(t)
	_, err := vm.Compile(n.outputs, vm.Options{Device: without{open(t, "ref"), "Attention"}})
	if !errors.Is(err, device.ErrUnsupported) ||
		!strings.Contains(err.Error(), "net: attentions.0.transformer_blocks.0.attn1: Attention") {
		t.Errorf("got %v", err)
	}
}

// without is a device that lacks an operation.
type without struct {
	device.Device
	op string
}

func (w without) Compile(r device.Request) (device.Kernel, error) {
	if op.Name(r.Spec) == w.op {
		return nil, device.Unsupported(w.Name(), r)
	}
	return w.Device.Compile(r)
}

func TestCheckFiniteNamesTheFirst(t *testing.T) {
	d := open(t, catalog.Names()[0])
	n := newNetwork(t)
	p := compile(t, n.outputs, vm.Options{Device: d, CheckFinite: true})
	run(t, p, n.feeds)
	bad := n.scope.Leaf("attentions.0.transformer_blocks.0.norm2.weight").Value().(*tensor.Dense)
	bad.Float32s()[3] = float32(math.Inf(1))
	defer func() { bad.Float32s()[3] = 1 }()
	_, err := p.Run(t.Context(), n.feeds)
	if !errors.Is(err, vm.ErrNotFinite) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"attentions.0.transformer_blocks.0.norm2: LayerNorm", "input 1", "1 of 24 not finite"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestClosedProgram(t *testing.T) {
	n := newNetwork(t)
	p := compile(t, n.outputs, vm.Options{Device: open(t, "ref")})
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Run(t.Context(), n.feeds); !errors.Is(err, vm.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestReportCountsEverything(t *testing.T) {
	n := newNetwork(t)
	p := compile(t, gorgonia.Nodes{n.out}, vm.Options{Device: open(t, catalog.Names()[0])})
	delete(n.feeds, n.target)
	run(t, p, n.feeds)
	r := p.Report()
	var flops int64
	for _, s := range r.Steps {
		if s.Op == "Conv2D" && strings.Contains(s.Place, "conv_in") {
			flops += s.FLOP
		}
	}
	if want := int64(2 * 2 * 7 * 5 * 16 * 9 * 8); flops != want {
		t.Errorf("conv_in has %d FLOP, want %d", flops, want)
	}
	if r.Runs != 1 || r.Time <= 0 || r.Memory.Arena < r.Memory.LowerBound || r.Memory.LowerBound <= 0 {
		t.Errorf("report %+v", r.Memory)
	}
	for _, want := range []string{"Conv2D", "Attention", "arena", "lower bound", "slowest nodes"} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, r)
		}
	}
}
