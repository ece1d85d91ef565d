package devicetest

import (
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// faulty is a device whose kernels do something wrong after they have computed the right result.
type faulty struct {
	device.Device
	workspace int64
	spoil     func(r device.Request, out device.Pointer, in []device.Pointer, workspace device.Pointer)
}

type faultyKernel struct {
	device.Kernel
	device  *faulty
	request device.Request
}

func (f *faulty) Compile(r device.Request) (device.Kernel, error) {
	k, err := f.Device.Compile(r)
	return faultyKernel{k, f, r}, err
}

func (k faultyKernel) Workspace() int64 { return k.Kernel.Workspace() + k.device.workspace }

func (k faultyKernel) Run(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	err := k.Kernel.Run(out, in, workspace)
	k.device.spoil(k.request, out, in, workspace)
	return err
}

// TestFaultsAreFound runs a case on devices with one fault each.
func TestFaultsAreFound(t *testing.T) {
	gelu := testCase{spec: op.Activation{Act: op.GELU}, in: []tensor.Shape{{50, 40}}}
	sums := testCase{spec: op.LayerNormGradParams{Eps: normEps}, in: []tensor.Shape{{5, 40}, {5, 40}}}
	dense := product{rows: tensor.Shape{9}, k: 40, o: 50}.forward(true, true, op.GELU, op.Feature)
	runs := 0
	for _, test := range []struct {
		name  string
		c     testCase
		spoil func(r device.Request, out device.Pointer, in []device.Pointer, workspace device.Pointer)
		want  string
	}{
		{"one element missing", gelu, func(_ device.Request, out device.Pointer, _ []device.Pointer, _ device.Pointer) {
			copy(device.Slice[byte](out, 8000)[7996:], []byte{poison, poison, poison, poison})
		}, "element 1999 is NaN"},
		{"one element wrong", gelu, func(_ device.Request, out device.Pointer, _ []device.Pointer, _ device.Pointer) {
			device.Slice[float32](out, 2000)[100] *= 1.001
		}, "element 100 of 2000"},
		{"all a little wrong", gelu, func(_ device.Request, out device.Pointer, _ []device.Pointer, _ device.Pointer) {
			for i := range 2000 {
				device.Slice[float32](out, 2000)[i] *= 1 + 1e-5
			}
		}, "relative error"},
		{"behind the output", gelu, func(_ device.Request, out device.Pointer, _ []device.Pointer, _ device.Pointer) {
			device.Slice[byte](out, 8001)[8000] = 0
		}, "byte 8000 of the output"},
		{"behind the workspace", gelu, func(_ device.Request, _ device.Pointer, _ []device.Pointer, workspace device.Pointer) {
			device.Slice[byte](workspace, 65)[64] = 0
		}, "byte 64 of the workspace"},
		{"an input", sums, func(_ device.Request, _ device.Pointer, in []device.Pointer, _ device.Pointer) {
			device.Slice[float32](in[1], 1)[0]++
		}, "input 1 was written"},
		{"the workspace's old bytes", gelu, func(_ device.Request, out device.Pointer, _ []device.Pointer, workspace device.Pointer) {
			device.Slice[float32](out, 1)[0] += device.Slice[float32](workspace, 1)[0]
		}, "element 0 is NaN"},
		{"another result in each run", gelu, func(_ device.Request, out device.Pointer, _ []device.Pointer, _ device.Pointer) {
			runs++
			device.Slice[float32](out, 1)[0] += float32(runs) * 2e-7
		}, "a second run gave other bytes"},
		{"in place", gelu, func(_ device.Request, out device.Pointer, in []device.Pointer, _ device.Pointer) {
			if out == in[0] {
				device.Slice[float32](out, 1)[0] += 1e-6
			}
		}, "in place of input 0: not the bytes"},
		{"constant weights", dense, func(r device.Request, out device.Pointer, _ []device.Pointer, _ device.Pointer) {
			if r.In[1].Const != nil && !r.LowMemory {
				device.Slice[float32](out, 1)[0]++
			}
		}, "constant weights: "},
		{"low memory", dense, func(r device.Request, out device.Pointer, _ []device.Pointer, _ device.Pointer) {
			if r.LowMemory {
				device.Slice[float32](out, 1)[0]++
			}
		}, "low memory"},
		{"rows swapped", sums, func(_ device.Request, out device.Pointer, _ []device.Pointer, _ device.Pointer) {
			x := device.Slice[float32](out, 80)
			x[0], x[40] = x[40], x[0]
		}, "part 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := check(t, test.c, &faulty{Device: newRef(t), workspace: 64, spoil: test.spoil})
			if err == nil || !strings.HasPrefix(err.Error(), "faulty: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
	t.Run("a leak", func(t *testing.T) {
		d := newRef(t)
		var leaked []device.Memory
		err := check(t, gelu, &faulty{Device: d, spoil: func(device.Request, device.Pointer, []device.Pointer,
			device.Pointer,
		) {
			m, err := d.Alloc(64)
			if err != nil {
				t.Fatal(err)
			}
			leaked = append(leaked, m)
		}})
		if err == nil || !strings.Contains(err.Error(), "bytes are allocated after the kernel was closed") {
			t.Errorf("error %v", err)
		}
		for _, m := range leaked {
			if err := d.Free(m); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// check runs a case in float32 on two devices, of which the second is faulty.
func check(t *testing.T, c testCase, d device.Device) error {
	subjects := []Subject{{Name: "right", Device: newRef(t)}, {Name: "faulty", Device: d}}
	return newSuite(t, subjects).check(c, device.Float32, subjects)
}
