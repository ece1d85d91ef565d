package devicetest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// contract tests device.Device's methods other than its kernels.
type contract struct{ device device.Device }

func (s contract) run(t *testing.T) {
	t.Run("types", s.types)
	t.Run("memory", s.memory)
	t.Run("unknown operation", s.unknownOperation)
	t.Run("unknown type", s.unknownType)
	t.Run("id out of range", s.idOutOfRange)
}

func (s contract) types(t *testing.T) {
	if s.device.Name() == "" {
		t.Error("the device has no name")
	}
	for _, d := range []device.DType{device.Float32, device.Int32} {
		if !s.device.Has(d) {
			t.Errorf("the device has no %v", d)
		}
	}
}

func (s contract) memory(t *testing.T) {
	before := s.device.Allocated()
	var held int64
	var all []device.Memory
	for _, n := range []int64{1, 63, 64, 65, 4097, 3 << 20} {
		m, err := s.device.Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
		if held += n; m.Bytes != n || s.device.Allocated() < before+held {
			t.Errorf("%d bytes: got %d, %d of %d counted", n, m.Bytes, s.device.Allocated()-before, held)
		}
		if uintptr(m.Ptr)%64 != 0 {
			t.Errorf("%d bytes at %p: not aligned to 64", n, m.Ptr)
		}
		got := bytes.Repeat([]byte{1}, int(n))
		if err := s.device.Download(got, m.Ptr); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, make([]byte, n)) {
			t.Errorf("%d bytes: not zero", n)
		}
		want := bytes.Repeat([]byte{7, 1, 8}, int(n)/3+1)[:n]
		if err := errors.Join(s.device.Upload(m.Ptr, want), s.device.Download(got, m.Ptr)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: not what was uploaded", n)
		}
	}
	for _, m := range all {
		if err := s.device.Free(m); err != nil {
			t.Error(err)
		}
	}
	if after := s.device.Allocated(); after != before {
		t.Errorf("%d bytes are allocated after everything was freed, %d before", after, before)
	}
	if _, err := s.device.Alloc(-1); err == nil {
		t.Error("-1 bytes were allocated")
	}
}

func (s contract) execute(c testCase, v variant) error {
	m := memory{device: s.device}
	_, err := m.execute(c, c.encode(c.draw(v.precision), v.precision), v)
	return errors.Join(err, m.close())
}

// unheardOf is an operation that no device knows.
type unheardOf struct{}

func (unheardOf) Infer(in []tensor.Shape) (tensor.Shape, error) { return in[0].Clone(), nil }
func (unheardOf) Kinds(n int) ([]op.Kind, op.Kind)              { return make([]op.Kind, n), op.Feature }

func (s contract) unknownOperation(t *testing.T) {
	c := testCase{spec: unheardOf{}, in: []tensor.Shape{{2, 3}}}
	err := s.execute(c, variant{precision: device.Float32})
	if !errors.Is(err, device.ErrUnsupported) || !strings.Contains(err.Error(), "unheardOf") {
		t.Errorf("error %v, want ErrUnsupported with the operation's name", err)
	}
}

func (s contract) unknownType(t *testing.T) {
	for _, d := range []device.DType{device.BFloat16, device.Float64} {
		if s.device.Has(d) {
			continue
		}
		for _, spec := range []op.Spec{op.Mul{}, op.ActivationGrad{Act: op.SiLU}} {
			c := testCase{spec: spec, in: []tensor.Shape{{2, 3}, {2, 3}}}
			err := s.execute(c, variant{precision: d})
			if !errors.Is(err, device.ErrUnsupported) || !strings.Contains(err.Error(), d.String()) {
				t.Errorf("%s in %v: error %v, want ErrUnsupported with the type", op.Name(spec), d, err)
			}
		}
	}
}

func (s contract) idOutOfRange(t *testing.T) {
	for _, id := range []float64{-1, 5, 1 << 30} {
		c := testCase{
			spec: op.Embedding{}, in: []tensor.Shape{{3}, {5, 4}}, fill: map[int]fill{0: values(0, id, 4)},
		}
		if err := s.execute(c, variant{precision: device.Float32}); err == nil {
			t.Errorf("id %g of a table of 5 rows: no error", id)
		}
	}
}
