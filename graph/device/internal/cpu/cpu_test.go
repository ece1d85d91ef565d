//go:build cgo

package cpu_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cpu"
	"github.com/histdist/histdist/graph/device/internal/devicetest"
	"github.com/histdist/histdist/graph/op"
)

func open(t testing.TB, o cpu.Options) *cpu.Device {
	d, err := cpu.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestConformance tests all instruction sets of the machine. The plain C of the generic ones is the same source as
// that of the others, compiled for narrower vectors: unless it is the best the machine has it gets the odd shapes
// alone.
func TestConformance(t *testing.T) {
	var subjects []devicetest.Subject
	sets := cpu.InstructionSets()
	for _, isa := range sets {
		subjects = append(subjects, devicetest.Subject{
			Name: isa, Device: open(t, cpu.Options{ISA: isa}),
			OddOnly: strings.HasPrefix(isa, "generic") && isa != sets[len(sets)-1],
		})
	}
	devicetest.RunAll(t, subjects)
}

func TestBestInstructionSetIsChosen(t *testing.T) {
	sets := cpu.InstructionSets()
	if got, want := open(t, cpu.Options{}).Fingerprint(), sets[len(sets)-1]; got != want {
		t.Errorf("chose %q, the machine has %v", got, sets)
	}
}

func TestOptionErrors(t *testing.T) {
	for _, c := range []struct {
		options cpu.Options
		want    string
	}{
		{cpu.Options{Threads: -1}, "cpu: -1 threads: want at least 1"},
		{cpu.Options{ISA: "sse"}, `cpu: instruction set "sse": this machine has generic`},
	} {
		if _, err := cpu.New(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q in it", err, c.want)
		}
	}
}

// product is a request for x [rows,64] times a weight [48,64].
func product(rows int, weight device.Pointer) device.Request {
	return device.Request{
		Spec: op.Linear{},
		In: []device.Operand{
			{Shape: tensor.Shape{rows, 64}},
			{Shape: tensor.Shape{48, 64}, Const: weight, Identity: weight},
		},
		Out: device.Operand{Shape: tensor.Shape{rows, 48}},
	}
}

func TestProgramsShareRearrangedWeights(t *testing.T) {
	d := open(t, cpu.Options{})
	w, err := d.Alloc(4 * 48 * 64)
	if err != nil {
		t.Fatal(err)
	}
	before := d.Allocated()
	var kernels []device.Kernel
	for _, rows := range []int{1, 100, 100} {
		k, err := d.Compile(product(rows, w.Ptr))
		if err != nil {
			t.Fatal(err)
		}
		kernels = append(kernels, k)
	}
	one := d.Allocated() - before
	if want := int64(4 * 48 * 64); one < want || one > want*2 {
		t.Errorf("three kernels hold %d bytes of one weight of %d", one, want)
	}
	for i, k := range kernels {
		if err := errors.Join(k.Close(), k.Close()); err != nil {
			t.Fatal(err)
		}
		if held := d.Allocated() - before; (held == 0) != (i == len(kernels)-1) {
			t.Errorf("%d bytes are held after %d of %d kernels are closed", held, i+1, len(kernels))
		}
	}
	low := product(100, w.Ptr)
	low.LowMemory = true
	k, err := d.Compile(low)
	if err != nil {
		t.Fatal(err)
	}
	if d.Allocated() != before {
		t.Errorf("LowMemory took %d bytes", d.Allocated()-before)
	}
	if err := errors.Join(k.Close(), d.Free(w)); err != nil {
		t.Fatal(err)
	}
}

// TestBytesDoNotDependOnTiming runs a product on as many threads as there are and on more, many times.
func TestBytesDoNotDependOnTiming(t *testing.T) {
	const rows = 777
	for _, threads := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(threads), func(t *testing.T) {
			d := open(t, cpu.Options{Threads: threads})
			k, err := d.Compile(product(rows, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			var memory []device.Memory
			for _, n := range []int64{4 * rows * 64, 4 * 48 * 64, 4 * rows * 48, k.Workspace()} {
				m, err := d.Alloc(n)
				if err != nil {
					t.Fatal(err)
				}
				memory = append(memory, m)
				t.Cleanup(func() {
					if err := d.Free(m); err != nil {
						t.Error(err)
					}
				})
			}
			for _, m := range memory[:2] {
				for i := range device.Slice[float32](m.Ptr, int(m.Bytes/4)) {
					device.Slice[float32](m.Ptr, int(m.Bytes/4))[i] = float32(i%101)/50 - 1
				}
			}
			var first string
			for run := range 50 {
				if err := k.Run(memory[2].Ptr, []device.Pointer{memory[0].Ptr, memory[1].Ptr}, memory[3].Ptr); err != nil {
					t.Fatal(err)
				}
				got := string(device.Slice[byte](memory[2].Ptr, int(memory[2].Bytes)))
				if run == 0 {
					first = got
				} else if got != first {
					t.Fatalf("run %d gave other bytes", run)
				}
			}
		})
	}
}

// TestProductsOfBFloat16 multiplies ones by weights 1+2^-9 and -1 in turn: in bfloat16 they add up to nothing.
func TestProductsOfBFloat16(t *testing.T) {
	const k, one = 64, 0x3f80
	for _, isa := range cpu.InstructionSets() {
		t.Run(isa, func(t *testing.T) {
			d := open(t, cpu.Options{ISA: isa, Threads: 1})
			memory := func(bytes int64) device.Pointer {
				m, err := d.Alloc(bytes)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := d.Free(m); err != nil {
						t.Error(err)
					}
				})
				return m.Ptr
			}
			x, w, y := memory(2*k), memory(4*k), memory(4)
			for i := range k {
				device.Slice[uint16](x, k)[i] = one
				device.Slice[float32](w, k)[i] = []float32{1 + 0x1p-9, -1}[i%2]
			}
			kernel, err := d.Compile(device.Request{
				Spec: op.Linear{},
				In:   []device.Operand{{Shape: tensor.Shape{1, k}, DType: device.BFloat16}, {Shape: tensor.Shape{1, k}}},
				Out:  device.Operand{Shape: tensor.Shape{1, 1}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(kernel.Run(y, []device.Pointer{x, w}, memory(max(kernel.Workspace(), 1))),
				kernel.Close()); err != nil {
				t.Fatal(err)
			}
			want := float32(k / 2 * 0x1p-9)
			if strings.HasSuffix(isa, "bf16") {
				want = 0
			}
			if got := device.Slice[float32](y, 1)[0]; got != want {
				t.Errorf("got %g, want %g", got, want)
			}
		})
	}
}
