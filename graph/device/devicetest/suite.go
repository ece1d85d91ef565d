package devicetest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/ref"
	"github.com/histdist/histdist/graph/op"
)

// testCase is one kernel: an operation, the shapes of its inputs and how they are filled.
type testCase struct {
	name string
	spec op.Spec
	in   []tensor.Shape
	fill map[int]fill // inputs that are not drawn from a normal distribution
}

// String names the case by all that determines it.
func (c testCase) String() string { return fmt.Sprintf("%s%+v of %v", c.spec.Name(), c.spec, c.in) }

// family is a group of operations: cases from the networks and a generator of odd ones for each operation.
type family struct {
	name  string
	cases []testCase
	odd   map[string]func(*rapid.T) testCase
}

func families() []family {
	return []family{conv(), pool(), linear(), attention(), norm(), elementwise(), arrange(), reduce(), posterior(), optimizer()}
}

// checks is how many odd cases are drawn for an operation: a run of the suite stays below a minute on device/cpu.
const checks = 30

// Run tests a device, in the operations of the families that are named, such as "conv", or in all. The device stays open.
func Run(t *testing.T, d device.Device, only ...string) {
	oracle := ref.New()
	t.Cleanup(func() {
		if err := oracle.Close(); err != nil {
			t.Error(err)
		}
	})
	s := suite{device: d, oracle: oracle}
	if len(only) == 0 {
		t.Run("contract", s.contract)
	}
	for _, f := range families() {
		if len(only) > 0 && !slices.Contains(only, f.name) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			for _, c := range f.cases {
				for _, p := range s.precisions(c) {
					t.Run(fmt.Sprintf("%s/%s/%v", c.spec.Name(), c.name, p), func(t *testing.T) {
						if err := s.check(c, p); err != nil {
							t.Errorf("%v: %v", c, err)
						}
					})
				}
			}
			for name, draw := range f.odd {
				t.Run(name+"/odd", func(t *testing.T) { s.property(t, draw) })
			}
		})
	}
}

type suite struct{ device, oracle device.Device }

// precisions lists the precisions of a program in which the device has to pass the case.
func (s suite) precisions(c testCase) []device.DType {
	list := []device.DType{device.Float32}
	in, out := c.spec.Kinds(len(c.in))
	for _, k := range append(in, out) {
		if k == op.Feature && s.device.Has(device.BFloat16) {
			list = append(list, device.BFloat16)
			break
		}
	}
	if _, ok := c.spec.(op.Cast); ok {
		return list[1:] // float32 programs have no casts
	}
	return list
}

// property checks odd cases. Once one has failed, rapid makes it smaller.
func (s suite) property(t *testing.T, draw func(*rapid.T) testCase) {
	want := checks
	if testing.Short() {
		want = checks / 5
	}
	done, failed := 0, false
	rapid.Check(t, func(t *rapid.T) {
		if done == want && !failed {
			return
		}
		done++
		c := draw(t)
		list := s.precisions(c)
		if s.device.Has(device.Float64) {
			list = append(list, device.Float64)
		}
		for _, p := range list {
			if err := s.check(c, p); err != nil {
				failed = true
				t.Fatalf("%v in %v: %v", c, p, err)
			}
		}
	})
}

// check runs one case in one precision in all the ways that a program may run it.
func (s suite) check(c testCase, precision device.DType) (err error) {
	before := s.device.Allocated()
	defer func() {
		if after := s.device.Allocated(); err == nil && after != before {
			err = fmt.Errorf("%d bytes are allocated after the kernel was closed, %d before it was compiled", after, before)
		}
	}()
	in := c.draw(precision)
	want, err := execute(s.oracle, c, in, variant{precision: device.Float64})
	if err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	first, err := execute(s.device, c, in, variant{precision: precision, repeat: true})
	if err != nil {
		return err
	}
	if err := c.compare(first, want, in, precision); err != nil {
		return err
	}
	for _, v := range c.variants(precision) {
		got, err := execute(s.device, c, in, v)
		if err != nil {
			return fmt.Errorf("%v: %w", v, err)
		}
		if v.inPlace > 0 {
			if !bytes.Equal(got[0].data, first[0].data) {
				return fmt.Errorf("%v: not the bytes of a run with separate memory", v)
			}
			continue
		}
		if err := c.compare(got, want, in, precision); err != nil {
			return fmt.Errorf("%v: %w", v, err)
		}
	}
	return nil
}

// variant is a way to run a kernel.
type variant struct {
	precision device.DType
	repeat    bool // run twice and demand the same bytes
	constant  bool // exact inputs are announced as constant
	lowMemory bool
	shifted   bool // inputs begin one element past an aligned address, as a view or a fed slice may
	inPlace   int  // 1 + the input whose memory the output takes; 0: none
}

// String says what is special.
func (v variant) String() string {
	s := ""
	for _, p := range []struct {
		on   bool
		text string
	}{
		{v.constant, "constant weights"},
		{v.lowMemory, "low memory"},
		{v.shifted, "unaligned inputs"},
		{v.inPlace > 0, fmt.Sprintf("in place of input %d", v.inPlace-1)},
	} {
		if p.on && s != "" {
			s += ", "
		}
		if p.on {
			s += p.text
		}
	}
	return s
}

func (c testCase) variants(precision device.DType) []variant {
	list := []variant{{precision: precision, lowMemory: true, shifted: true}}
	kinds, out := c.spec.Kinds(len(c.in))
	if _, updates := c.spec.(op.Updater); !updates {
		for _, k := range kinds {
			if k == op.Exact {
				list = append(list,
					variant{precision: precision, constant: true},
					variant{precision: precision, constant: true, lowMemory: true, shifted: true})
				break
			}
		}
	}
	if p, ok := c.spec.(op.InPlacer); ok {
		for _, i := range p.InPlace(len(c.in)) {
			if dtype(kinds[i], precision) == dtype(out, precision) {
				list = append(list, variant{precision: precision, inPlace: i + 1})
			}
		}
	}
	return list
}

// dtype is how a value of a kind is stored in a program of some precision.
func dtype(k op.Kind, precision device.DType) device.DType {
	switch {
	case k == op.Index:
		return device.Int32
	case k == op.Exact && precision != device.Float64:
		return device.Float32
	}
	return precision
}

// rng is seeded by the case, so that its numbers are the same in every run.
func (c testCase) rng() *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(c.String()))
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

// result is what a kernel wrote: its output, or an input that it updates.
type result struct {
	data  []byte
	dtype device.DType
}

// execute compiles and runs a case's kernel and returns its output, or the inputs that it updates.
func execute(d device.Device, c testCase, in [][]float64, v variant) (results []result, err error) {
	m := memory{device: d}
	defer func() { err = errors.Join(err, m.free()) }()

	kinds, outKind := c.spec.Kinds(len(in))
	shape, err := c.spec.Infer(c.in)
	if err != nil {
		return nil, err
	}
	r := device.Request{
		Spec: c.spec, LowMemory: v.lowMemory, Features: v.precision,
		Out: device.Operand{Shape: shape, DType: dtype(outKind, v.precision)},
	}
	blocks := make([]*block, len(in))
	args := make([]device.Pointer, len(in))
	for i, x := range in {
		o := device.Operand{Shape: c.in[i], DType: dtype(kinds[i], v.precision)}
		shift := int64(0)
		if v.shifted {
			shift = o.DType.Size()
		}
		if blocks[i], err = m.block(encode(x, o.DType), shift); err != nil {
			return nil, err
		}
		args[i] = blocks[i].ptr
		if v.constant && kinds[i] == op.Exact {
			o.Const, o.Identity = args[i], args[i]
		}
		r.In = append(r.In, o)
	}
	k, err := d.Compile(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, k.Close()) }()

	written := []int{} // inputs
	var out *block
	switch u, updates := c.spec.(op.Updater); {
	case updates:
		written = u.Updates()
		out = blocks[0]
	case v.inPlace > 0:
		written = []int{v.inPlace - 1}
		out = blocks[v.inPlace-1]
	default:
		if out, err = m.block(bytes.Repeat([]byte{poison}, int(r.Out.Bytes())), 0); err != nil {
			return nil, err
		}
	}
	workspace, err := m.workspace(k.Workspace())
	if err != nil {
		return nil, err
	}
	run := func() ([]result, error) {
		if err := errors.Join(k.Run(out.ptr, args, workspace), d.Synchronize()); err != nil {
			return nil, err
		}
		if err := m.intact(out, blocks, written); err != nil {
			return nil, err
		}
		if len(written) == 0 {
			data, err := m.read(out)
			return []result{{data, r.Out.DType}}, err
		}
		var list []result
		for _, i := range written {
			data, err := m.read(blocks[i])
			if err != nil {
				return nil, err
			}
			list = append(list, result{data, r.In[i].DType})
		}
		return list, nil
	}
	if results, err = run(); err != nil || !v.repeat {
		return results, err
	}
	// Again, with what the first run left in the workspace and other bytes in the output.
	for _, i := range written {
		if err := m.write(blocks[i], blocks[i].data); err != nil {
			return nil, err
		}
	}
	if len(written) == 0 {
		if err := m.write(out, bytes.Repeat([]byte{0x55}, len(out.data))); err != nil {
			return nil, err
		}
	}
	again, err := run()
	if err != nil {
		return nil, fmt.Errorf("second run: %w", err)
	}
	for i := range again {
		if !bytes.Equal(again[i].data, results[i].data) {
			return nil, errors.New("a second run gave other bytes")
		}
	}
	return results, nil
}
