package devicetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// variant is a way to run a kernel.
type variant struct {
	precision device.DType
	repeat    bool // run twice and demand the same bytes
	constant  bool // exact inputs are announced as constant
	lowMemory bool
	shifted   bool // inputs begin one element past an aligned address, as a view or a fed slice may
	inPlace   int  // 1 + the input whose memory the output takes; 0: none
}

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

// encode stores a case's inputs as a program of some precision does.
func (c testCase) encode(in [][]float64, precision device.DType) [][]byte {
	kinds, _ := c.spec.Kinds(len(in))
	data := make([][]byte, len(in))
	for i, x := range in {
		data[i] = encode(x, dtype(kinds[i], precision))
	}
	return data
}

// result is a kernel's output, or an input that it updates.
type result struct {
	data  []byte
	dtype device.DType
}

func (r result) equal(other result) bool { return bytes.Equal(r.data, other.data) }

// execute compiles and runs a case's kernel in memory that it takes from m until the next call, and returns its output,
// or the inputs that it updates. in are the inputs as a program of the variant's precision stores them.
func (m *memory) execute(c testCase, in [][]byte, v variant) (results []result, err error) {
	m.reuse()
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
	for i, data := range in {
		o := device.Operand{Shape: c.in[i], DType: dtype(kinds[i], v.precision)}
		shift := int64(0)
		if v.shifted {
			shift = o.DType.Size()
		}
		if blocks[i], err = m.block(data, shift); err != nil {
			return nil, err
		}
		args[i] = blocks[i].ptr
		if v.constant && kinds[i] == op.Exact {
			o.Const, o.Identity = args[i], args[i]
		}
		r.In = append(r.In, o)
	}
	k, err := m.device.Compile(r)
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
		if out, err = m.filled(poison, r.Out.Bytes()); err != nil {
			return nil, err
		}
	}
	workspace, err := m.workspace(k.Workspace())
	if err != nil {
		return nil, err
	}
	run := func() ([]result, error) {
		if err := errors.Join(k.Run(out.ptr, args, workspace), m.device.Synchronize()); err != nil {
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
	// Again, with the workspace as the first run left it and other bytes in the output.
	for _, i := range written {
		if err := m.device.Upload(blocks[i].ptr, in[i]); err != nil {
			return nil, err
		}
	}
	if len(written) == 0 {
		if err := m.fill(out.ptr, 0x55, out.bytes); err != nil {
			return nil, err
		}
	}
	again, err := run()
	if err != nil {
		return nil, fmt.Errorf("second run: %w", err)
	}
	if !slices.EqualFunc(again, results, result.equal) {
		return nil, errors.New("a second run gave other bytes")
	}
	return results, nil
}
