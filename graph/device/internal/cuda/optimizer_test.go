//go:build gpu

package cuda_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
	"github.com/histdist/histdist/graph/op"
)

// steps are calls of an operation of the optimiser on a device, and the tensors that they have.
type steps struct {
	t     *testing.T
	d     *cuda.Device
	rng   *rand.Rand
	calls []device.Call
	held  []device.Memory
}

func (s *steps) tensor(n int) device.Pointer {
	s.t.Helper()
	x := make([]float32, n)
	for i := range x {
		x[i] = s.rng.Float32()
	}
	m, err := s.d.Alloc(int64(4 * (n + 1)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.held = append(s.held, m)
	at := m.Ptr
	if n%5 == 0 {
		at = unsafe.Add(at, 4) // some are not aligned
	}
	if err := s.d.Upload(at, device.Slice[byte](device.Pointer(unsafe.SliceData(x)), 4*n)); err != nil {
		s.t.Fatal(err)
	}
	return at
}

// call adds one on tensors of n elements.
func (s *steps) call(spec op.Spec, n int, in ...device.Pointer) {
	s.t.Helper()
	r := device.Request{Spec: spec, Out: device.Operand{Shape: tensor.Shape{n}}}
	for i := range in {
		o := r.Out
		switch {
		case i == 4:
			o.Shape = tensor.Shape{7}
		case i == 5, len(in) == 3 && i == 2:
			o.Shape = tensor.ScalarShape()
		}
		r.In = append(r.In, o)
	}
	k, err := s.d.Compile(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.calls = append(s.calls, device.Call{Kernel: k, Out: in[0], In: in})
}

// read returns all tensors, one after the other.
func (s *steps) read() []byte {
	s.t.Helper()
	var all []byte
	for _, m := range s.held {
		b := make([]byte, m.Bytes)
		if err := s.d.Download(b, m.Ptr); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func (s *steps) close() {
	for _, c := range s.calls {
		if err := c.Kernel.Close(); err != nil {
			s.t.Error(err)
		}
	}
	for _, m := range s.held {
		if err := s.d.Free(m); err != nil {
			s.t.Error(err)
		}
	}
}

// TestUpdatesTogether records many calls, which become a few launches, and wants the bytes of one after the other.
func TestUpdatesTogether(t *testing.T) {
	d := open(t, cuda.Limits{})
	sizes := []int{1, 3, 4, 5, 8, 20, 64, 320, 1000, 4096, 5000, 40000}
	tests := map[string]func(s *steps){
		"AdamW": func(s *steps) {
			hyper := s.tensor(7)
			for i := range 170 {
				n := sizes[i%len(sizes)]
				s.call(op.AdamW{}, n, s.tensor(n), s.tensor(n), s.tensor(n), s.tensor(n), hyper)
			}
		},
		"scaled AdamW": func(s *steps) {
			hyper, scale := s.tensor(7), s.tensor(1)
			for _, n := range sizes {
				s.call(op.AdamW{Scaled: true}, n, s.tensor(n), s.tensor(n), s.tensor(n), s.tensor(n), hyper, scale)
			}
		},
		"one parameter twice": func(s *steps) {
			hyper, p := s.tensor(7), s.tensor(64)
			for range 3 {
				s.call(op.AdamW{}, 64, p, s.tensor(64), s.tensor(64), s.tensor(64), hyper)
			}
		},
		"other constants": func(s *steps) {
			for range 4 {
				s.call(op.AdamW{}, 8, s.tensor(8), s.tensor(8), s.tensor(8), s.tensor(8), s.tensor(7))
			}
		},
		"Accumulate": func(s *steps) {
			keep := s.tensor(1)
			for i := range 130 {
				n := sizes[i%len(sizes)]
				s.call(op.Accumulate{}, n, s.tensor(n), s.tensor(n), keep)
			}
		},
		"MovingAverage": func(s *steps) {
			weight := s.tensor(1)
			for i := range 130 {
				n := sizes[i%len(sizes)]
				s.call(op.MovingAverage{}, n, s.tensor(n), s.tensor(n), weight)
			}
		},
		"a sum is added to another": func(s *steps) {
			keep, first, second := s.tensor(1), s.tensor(64), s.tensor(64)
			s.call(op.Accumulate{}, 64, first, s.tensor(64), keep)
			s.call(op.Accumulate{}, 64, second, first, keep)
			s.call(op.Accumulate{}, 64, first, second, keep)
		},
	}
	launches := map[string]int{
		"AdamW": 3, "scaled AdamW": 1, "one parameter twice": 3, "other constants": 4, "Accumulate": 2, "MovingAverage": 2,
		"a sum is added to another": 3,
	}
	for name, build := range tests {
		t.Run(name, func(t *testing.T) {
			begin := func() *steps {
				s := &steps{t: t, d: d, rng: rand.New(rand.NewPCG(7, 1))}
				build(s)
				return s
			}
			one, together := begin(), begin()
			defer one.close()
			defer together.close()
			for _, c := range one.calls {
				if err := c.Kernel.Run(c.Out, c.In, nil); err != nil {
					t.Fatal(err)
				}
			}
			before := made(t)
			r, err := d.Record(together.calls)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(r.Replay(), d.Synchronize()); err != nil {
				t.Fatal(err)
			}
			if n := made(t) - before; *driver != "" && n != launches[name] {
				t.Errorf("%d launches for %d calls, want %d", n, len(one.calls), launches[name])
			}
			if !bytes.Equal(one.read(), together.read()) {
				t.Error("not the bytes of one call after the other")
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// made is how many launches the fake driver has seen.
func made(t *testing.T) int {
	t.Helper()
	if *driver == "" {
		return 0
	}
	n := 0
	for _, c := range calls(t) {
		if strings.HasPrefix(c, "launch") {
			n++
		}
	}
	return n
}
