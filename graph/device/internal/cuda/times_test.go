//go:build gpu

package cuda_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
	"github.com/histdist/histdist/graph/op"
)

var times = flag.Int("bench-kernels", 0,
	"time each kernel that waits for memory, attention, convolutions and products, over so many runs; 50 says enough")

var ownAttention = flag.Bool("own-attention", false, "with -bench-kernels: our own attention even where there is cuDNN")

var ownConvolutions = flag.Bool("implicit", false,
	"with -bench-kernels: our own convolutions even where there is cuDNN")

// timed is an operation with the shapes of its inputs.
type timed struct {
	spec op.Spec
	in   []tensor.Shape
}

// layers are the operations of a U-Net's level of n samples with c channels at some places that move more bytes than
// they compute.
func layers(n, places, c int) []timed {
	x, w, stats := tensor.Shape{n, places, c}, tensor.Shape{c}, tensor.Shape{n, 32, 2}
	wide, half := tensor.Shape{n, places, 8 * c}, tensor.Shape{n, places, 4 * c}
	const eps = 1e-5
	return []timed{
		{op.GroupNormStats{Groups: 32, Eps: eps}, []tensor.Shape{x}},
		{op.GroupNorm{Groups: 32, SiLU: true}, []tensor.Shape{x, stats, w, w}},
		{op.GroupNormGradSums{Groups: 32, SiLU: true}, []tensor.Shape{x, stats, w, w, x}},
		{op.GroupNormGradInput{Groups: 32, SiLU: true}, []tensor.Shape{x, stats, w, w, x, {n, 2, c}}},
		{op.LayerNorm{Eps: eps}, []tensor.Shape{x, w, w}},
		{op.LayerNormGradInput{Eps: eps}, []tensor.Shape{x, w, x}},
		{op.LayerNormGradParams{Eps: eps}, []tensor.Shape{x, x}},
		{op.GEGLU{}, []tensor.Shape{wide}},
		{op.GEGLUGrad{}, []tensor.Shape{wide, half}},
		{op.Activation{Act: op.SiLU}, []tensor.Shape{x}},
		{op.Cast{From: op.Exact, To: op.Feature}, []tensor.Shape{x}},
		{op.Add{}, []tensor.Shape{x, x}},
		{op.AddChannels{}, []tensor.Shape{x, {n, c}}},
		{op.Concat{Axis: 2}, []tensor.Shape{x, x}},
		{op.SumRows{}, []tensor.Shape{x}},
		{op.SumPixels{}, []tensor.Shape{x}},
	}
}

// attentions are those of the U-Net and of the encoders, and their gradients in training.
func attentions() (list []timed) {
	add := func(n, queries, keys, heads, d int, causal bool) {
		q, k := tensor.Shape{n, queries, heads * d}, tensor.Shape{n, keys, heads * d}
		a := op.Attention{Heads: heads, Causal: causal}
		list = append(list, timed{a, []tensor.Shape{q, k, k}}, timed{op.AttentionGrad(a), []tensor.Shape{q, k, k, q}})
	}
	for _, n := range []int{1, 8} {
		for _, level := range [][2]int{{4096, 40}, {1024, 80}, {256, 160}, {64, 160}} {
			add(n, level[0], level[0], 8, level[1], false)
			add(n, level[0], 77, 8, level[1], false)
		}
	}
	add(1, 4096, 197, 8, 40, false)
	add(1, 197, 197, 12, 64, false)
	add(1, 77, 77, 12, 64, true)
	return list
}

// convolutions are those of the U-Net and of the decoder that take the most time.
func convolutions() (list []timed) {
	for _, c := range [][4]int{
		{1, 64, 320, 320},
		{1, 64, 640, 320},
		{1, 32, 640, 640},
		{1, 32, 1280, 640},
		{1, 16, 1280, 1280},
		{1, 16, 2560, 1280},
		{1, 8, 1280, 1280},
		{8, 64, 320, 320},
		{8, 32, 640, 640},
		{8, 16, 1280, 1280},
		{8, 8, 1280, 1280},
		{1, 512, 128, 128},
		{1, 256, 256, 256},
		{1, 128, 512, 512},
	} {
		n, side, in, out := c[0], c[1], c[2], c[3]
		g := op.Geometry{KH: 3, KW: 3, Stride: 1, Pad: op.Pad(1)}
		shapes := []tensor.Shape{{n, side, side, in}, {3, 3, in, out}, {out}}
		list = append(list, timed{op.Conv2D{Geometry: g, Bias: true}, shapes})
	}
	return list
}

// products are a U-Net's linear layers, and their gradients in training.
func products() (list []timed) {
	for _, n := range []int{1, 8} {
		for _, level := range [][2]int{{4096, 320}, {1024, 640}, {256, 1280}} {
			places, c := level[0], level[1]
			x, inner := tensor.Shape{n, places, c}, tensor.Shape{n, places, 4 * c}
			list = append(list,
				timed{op.Linear{Store: op.Feature}, []tensor.Shape{x, {c, c}}},
				timed{op.Linear{Bias: true, Residual: true, Store: op.Exact}, []tensor.Shape{x, {c, c}, {c}, x}},
				timed{op.Linear{Bias: true, Store: op.Feature}, []tensor.Shape{x, {8 * c, c}, {8 * c}}},
				timed{op.Linear{Bias: true, Residual: true, Store: op.Exact}, []tensor.Shape{inner, {c, 4 * c}, {c}, x}},
			)
			if n > 1 {
				list = append(list,
					timed{op.LinearDataGrad{Store: op.Feature}, []tensor.Shape{x, {c, 4 * c}}},
					timed{op.LinearDataGrad{Residual: true, Store: op.Exact}, []tensor.Shape{x, {c, c}, x}},
					timed{op.LinearWeightGrad{}, []tensor.Shape{x, x}},
					timed{op.LinearWeightGrad{}, []tensor.Shape{{n, places, 8 * c}, x}},
				)
			}
		}
	}
	return list
}

// TestTimes prints how long kernels take and how many bytes of inputs and output a second that is; with
// -bench-kernels only. "again" has the same memory in each run, which a GPU's cache may hold, and "fresh" as much in
// turn as no cache holds, but for what computes more than it reads: attention, convolutions and products, in
// bfloat16, with constant weights.
func TestTimes(t *testing.T) {
	if *times == 0 {
		t.Skip("-bench-kernels is not given")
	}
	scores := 0
	if *ownAttention {
		scores = -1
	}
	d := open(t, cuda.Limits{Implicit: *ownConvolutions, Scores: scores})
	list := map[string][]timed{}
	order := []string{}
	add := func(name string, l []timed) { list[name], order = l, append(order, name) }
	for _, n := range []int{1, 16} {
		for _, level := range [][2]int{{4096, 320}, {1024, 640}, {256, 1280}, {64, 1280}} {
			add(fmt.Sprintf("unet-%dx%dx%d", n, level[0], level[1]), layers(n, level[0], level[1]))
		}
	}
	for _, level := range [][2]int{{512 * 512, 128}, {256 * 256, 256}, {128 * 128, 512}} {
		add(fmt.Sprintf("vae-%dx%d", level[0], level[1]), layers(1, level[0], level[1])[:2])
	}
	p := tensor.Shape{3, 3, 1280, 1280}
	add("parameter", []timed{
		{op.AdamW{}, []tensor.Shape{p, p, p, p, {7}}},
		{op.Accumulate{}, []tensor.Shape{p, p, {}}},
		{op.GlobalNorm{}, []tensor.Shape{p}},
		{op.Scale{Factor: 2}, []tensor.Shape{p}},
	})
	add("attention", attentions())
	add("convolution", convolutions())
	add("product", products())
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			for _, c := range list[name] {
				for _, precision := range []device.DType{device.Float32, device.BFloat16} {
					if err := c.print(t, d, precision); err != nil {
						t.Errorf("%s in %v: %v", op.Name(c.spec), precision, err)
					}
				}
			}
		})
	}
}

// request is the operation in a program of some precision, and whether that is another one than in float32.
func (c timed) request(precision device.DType) (r device.Request, differs bool, err error) {
	kinds, kind := c.spec.Kinds(len(c.in))
	operand := func(s tensor.Shape, k op.Kind) device.Operand {
		differs = differs || k == op.Feature
		if k == op.Feature {
			return device.Operand{Shape: s, DType: precision}
		}
		return device.Operand{Shape: s, DType: device.Float32}
	}
	out, err := c.spec.Infer(c.in)
	if err != nil {
		return r, false, err
	}
	r = device.Request{Spec: c.spec, Features: precision, Out: operand(out, kind)}
	for i, s := range c.in {
		r.In = append(r.In, operand(s, kinds[i]))
	}
	return r, differs, nil
}

// turns are the bytes that are gone through before memory is used again: more than the caches of today's GPUs.
const turns = 256 << 20

func (c timed) print(t *testing.T, d *cuda.Device, precision device.DType) (err error) {
	r, differs, err := c.request(precision)
	_, cast := c.spec.(op.Cast)
	if err != nil || precision != device.Float32 && !differs || cast && precision == device.Float32 {
		return err
	}
	work, computes := c.spec.(interface {
		FLOPs(in []tensor.Shape, out tensor.Shape) int64
	})
	if computes && precision == device.Float32 {
		return nil
	}
	var k device.Kernel
	var held []device.Memory
	defer func() {
		errs := []error{err, d.Synchronize()}
		if k != nil {
			errs = append(errs, k.Close())
		}
		for _, m := range held {
			errs = append(errs, d.Free(m))
		}
		err = errors.Join(errs...)
	}()
	alloc := func(bytes int64) device.Pointer {
		m, failed := d.Alloc(bytes)
		if failed != nil {
			err = errors.Join(err, failed)
			return nil
		}
		held = append(held, m)
		return m.Ptr
	}
	bytes := r.Out.Bytes()
	for i, o := range r.In {
		bytes += o.Bytes()
		weight := i == 1 || i > 0 && len(o.Shape) != len(r.Out.Shape) // or a bias
		if computes && weight && o.DType == device.Float32 {
			p := alloc(o.Bytes())
			if p == nil {
				return err
			}
			r.In[i].Const, r.In[i].Identity = p, p
			err = errors.Join(err, d.Upload(p, noise(o)))
		}
	}
	if k, err = d.Compile(r); err != nil {
		return err
	}
	u, updates := c.spec.(op.Updater)
	if updates {
		bytes += int64(len(u.Updates())-1) * r.Out.Bytes()
	}
	rate := ""
	workspace := alloc(k.Workspace())
	copies := int(min(max(turns/bytes, 1), int64(*times)))
	if computes {
		copies = 1
	}
	calls := make([]device.Call, copies)
	for i := range calls {
		calls[i] = device.Call{Kernel: k, Workspace: workspace}
		for _, o := range r.In {
			p := o.Const
			if p == nil {
				p = alloc(o.Bytes())
			}
			calls[i].In = append(calls[i].In, p)
			if computes && o.Const == nil && p != nil { // a GPU's clock depends on the numbers
				err = errors.Join(err, d.Upload(p, noise(o)))
			}
		}
		if updates {
			calls[i].Out = calls[i].In[0]
		} else {
			calls[i].Out = alloc(r.Out.Bytes())
		}
	}
	if err != nil {
		return err
	}
	again, err := took(d, calls[:1])
	if err != nil {
		return err
	}
	fresh, err := took(d, calls)
	if err != nil {
		return err
	}
	if computes {
		teraflops := float64(work.FLOPs(c.in, r.Out.Shape)) / fresh / 1e12
		rate = fmt.Sprintf("   %6.1f TFLOP/s, second input %v: %s", teraflops, c.in[1], k.Algorithm())
	}
	_, err = fmt.Fprintf(t.Output(),
		"%-20s %-28v %-9v %8.2f MB   again %8.2f µs %6.0f GB/s   fresh %8.2f µs %6.0f GB/s%s   %s\n",
		op.Name(c.spec), c.in[0], precision, float64(bytes)/1e6,
		again*1e6, float64(bytes)/again/1e9, fresh*1e6, float64(bytes)/fresh/1e9, rate, k.Algorithm())
	return err
}

// noise is numbers in ±2.
func noise(o device.Operand) []byte {
	b := make([]byte, 0, o.Bytes())
	rng := rand.New(rand.NewPCG(1, 1))
	for len(b) < cap(b) {
		v := math.Float32bits(4*rng.Float32() - 2)
		if o.DType == device.BFloat16 {
			b = binary.NativeEndian.AppendUint16(b, uint16(v>>16))
		} else {
			b = binary.NativeEndian.AppendUint32(b, v)
		}
	}
	return b
}

// took is the seconds that a call takes within a recording of many.
func took(d *cuda.Device, calls []device.Call) (seconds float64, err error) {
	all := make([]device.Call, *times)
	for i := range all {
		all[i] = calls[i%len(calls)]
	}
	r, err := d.Record(all)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := errors.Join(r.Replay(), d.Synchronize()); err != nil {
		return 0, err
	}
	begin := time.Now()
	err = errors.Join(r.Replay(), d.Synchronize())
	return time.Since(begin).Seconds() / float64(*times), err
}
