package devicetest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/ref"
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
func (c testCase) String() string { return fmt.Sprintf("%s%+v of %v", op.Name(c.spec), c.spec, c.in) }

// family is a group of operations: cases from the networks and a generator of odd ones for each operation.
type family struct {
	name  string
	cases []testCase
	odd   map[string]func(*rapid.T) testCase
}

func families() []family {
	return []family{
		conv(), pool(), linear(), attention(), norm(), elementwise(), arrange(), reduce(), posterior(), optimizer(),
	}
}

// checks is how many odd cases rapid draws for an operation, unless -rapid.checks says otherwise; a fifth of it with
// -short.
const checks = "30"

// Subject is a device under test.
type Subject struct {
	Name   string // in failures
	Device device.Device
	// OddOnly leaves the cases from the networks out, unless HISTDIST_FULL is set. All else stays: the odd cases of every
	// operation, in every precision and every way to run, and the contract.
	OddOnly bool
}

// Run tests a device, in the operations of the families that are named, such as "conv", or in all. The device stays
// open.
func Run(t *testing.T, d device.Device, only ...string) {
	RunAll(t, []Subject{{Name: d.Name(), Device: d}}, only...)
}

// RunAll is Run for several devices: the oracle computes once for all of them.
func RunAll(t *testing.T, subjects []Subject, only ...string) {
	setChecks(t)
	s := newSuite(t, subjects)
	if len(only) == 0 {
		t.Run("contract", func(t *testing.T) {
			for _, d := range subjects {
				t.Run(d.Name, contract{d.Device}.run)
			}
		})
	}
	cases := s.subjects
	if os.Getenv("HISTDIST_FULL") == "" {
		cases = slices.DeleteFunc(slices.Clone(cases), func(d Subject) bool { return d.OddOnly })
	}
	for _, f := range families() {
		if len(only) > 0 && !slices.Contains(only, f.name) {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			for _, c := range f.cases {
				for _, p := range precisions(c, cases) {
					t.Run(fmt.Sprintf("%s/%s/%v", op.Name(c.spec), c.name, p), func(t *testing.T) {
						if err := s.check(c, p, cases); err != nil {
							t.Errorf("%v: %v", c, err)
						}
					})
				}
			}
			for name, draw := range f.odd {
				t.Run(name+"/odd", func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { s.odd(t, draw(t)) }) })
			}
		})
	}
}

// setChecks has rapid draw as many odd cases as the suite has time for.
func setChecks(t *testing.T) {
	f := flag.Lookup("rapid.checks")
	before := f.Value.String()
	if before != f.DefValue {
		return
	}
	set := func(n string) {
		if err := f.Value.Set(n); err != nil {
			t.Fatal(err)
		}
	}
	set(checks)
	t.Cleanup(func() { set(before) })
}

// suite is shared by the cases of a run.
type suite struct {
	subjects []Subject
	oracle   device.Device
}

func newSuite(t *testing.T, subjects []Subject) suite {
	oracle := ref.New()
	t.Cleanup(func() {
		if err := oracle.Close(); err != nil {
			t.Error(err)
		}
	})
	return suite{subjects: subjects, oracle: oracle}
}

// precisions lists the precisions of a program in which one of the devices has to pass the case.
func precisions(c testCase, subjects []Subject) []device.DType {
	list := []device.DType{device.Float32}
	in, out := c.spec.Kinds(len(c.in))
	if slices.Contains(append(in, out), op.Feature) && anyHas(subjects, device.BFloat16) {
		list = append(list, device.BFloat16)
	}
	if _, ok := c.spec.(op.Cast); ok {
		return list[1:] // float32 programs have no casts
	}
	return list
}

func anyHas(subjects []Subject, d device.DType) bool {
	return slices.ContainsFunc(subjects, func(s Subject) bool { return s.Device.Has(d) })
}

// odd checks a case with odd shapes on all devices.
func (s suite) odd(t *rapid.T, c testCase) {
	list := precisions(c, s.subjects)
	if anyHas(s.subjects, device.Float64) {
		list = append(list, device.Float64)
	}
	for _, p := range list {
		if err := s.check(c, p, s.subjects); err != nil {
			t.Fatalf("%v in %v: %v", c, p, err)
		}
	}
}

// check runs one case in one precision on those of the devices that have it.
func (s suite) check(c testCase, precision device.DType, subjects []Subject) error {
	if len(subjects) == 0 {
		return nil
	}
	in := c.draw(precision)
	m := memory{device: s.oracle}
	results, err := m.execute(c, c.encode(in, device.Float64), variant{precision: device.Float64})
	if err := errors.Join(err, m.close()); err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	want := c.truth(in, results)
	stored := c.encode(in, precision)
	for _, d := range subjects {
		if !d.Device.Has(precision) {
			continue
		}
		if err := c.checkOn(d.Device, stored, want, precision); err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
	}
	return nil
}

// checkOn runs a case on one device in all the ways that a program may run it.
func (c testCase) checkOn(d device.Device, in [][]byte, want []exact, precision device.DType) (err error) {
	before := d.Allocated()
	m := memory{device: d}
	defer func() {
		err = errors.Join(err, m.close())
		if after := d.Allocated(); err == nil && after != before {
			err = fmt.Errorf("%d bytes are allocated after the kernel was closed, %d before it was compiled", after, before)
		}
	}()
	first, err := m.execute(c, in, variant{precision: precision, repeat: true})
	if err != nil {
		return err
	}
	if err := c.compare(first, want, precision); err != nil {
		return err
	}
	for _, v := range c.variants(precision) {
		got, err := m.execute(c, in, v)
		if err != nil {
			return fmt.Errorf("%v: %w", v, err)
		}
		switch {
		case slices.EqualFunc(got, first, result.equal):
		case v.inPlace > 0:
			return fmt.Errorf("%v: not the bytes of a run with separate memory", v)
		default:
			if err := c.compare(got, want, precision); err != nil {
				return fmt.Errorf("%v: %w", v, err)
			}
		}
	}
	return nil
}
