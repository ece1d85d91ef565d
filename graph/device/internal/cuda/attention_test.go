//go:build gpu

package cuda_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
	"github.com/histdist/histdist/graph/device/internal/devicetest"
	"github.com/histdist/histdist/graph/device/internal/ref"
	"github.com/histdist/histdist/graph/op"
)

// attentionCase is an attention of n samples; its gradients are one too.
type attentionCase struct{ n, queries, keys, heads, d int }

func (c attentionCase) request(grad bool, t device.DType) device.Request {
	q, k := tensor.Shape{c.n, c.queries, c.heads * c.d}, tensor.Shape{c.n, c.keys, c.heads * c.d}
	r := device.Request{Spec: op.Attention{Heads: c.heads}, Features: t}
	shapes := []tensor.Shape{q, k, k}
	if grad {
		r.Spec, shapes = op.AttentionGrad{Heads: c.heads}, append(shapes, q)
	}
	for _, s := range shapes {
		r.In = append(r.In, device.Operand{Shape: s, DType: t})
	}
	out, err := r.Spec.Infer(shapes)
	if err != nil {
		panic(err)
	}
	r.Out = device.Operand{Shape: out, DType: t}
	return r
}

// TestAttentionOfCuDNN compares cuDNN's attention with the reference's, or where that would take minutes, with that
// of our own kernels. Sizes are the U-Net's, but few samples; with the fake library small ones, whose engines
// (internal/fakegpu/cudnn.cc) say which plans are taken.
func TestAttentionOfCuDNN(t *testing.T) {
	d, apart := open(t, cuda.Limits{Scores: 1}), open(t, cuda.Limits{Scores: 1, Probabilities: 1})
	own := open(t, cuda.Limits{Scores: -1})
	fake := *driver != ""
	for _, c := range []struct {
		attentionCase
		large bool // for a GPU
	}{
		{attentionCase{2, 64, 64, 2, 40}, false},
		{attentionCase{2, 64, 77, 2, 40}, false},
		{attentionCase{1, 50, 197, 3, 64}, false},
		{attentionCase{3, 33, 128, 4, 80}, false},
		{attentionCase{1, 128, 128, 2, 160}, false},
		{attentionCase{1, 256, 256, 8, 160}, true},
		{attentionCase{2, 1024, 1024, 8, 80}, true},
		{attentionCase{2, 4096, 77, 8, 40}, true},
		{attentionCase{1, 4096, 197, 8, 40}, true},
		{attentionCase{4, 4096, 4096, 8, 40}, true},
	} {
		if c.large && fake {
			continue
		}
		for _, grad := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v, gradients %v", c.attentionCase, grad), func(t *testing.T) {
				r := c.request(grad, device.BFloat16)
				in := make([][]byte, len(r.In))
				for i, o := range r.In {
					in[i] = normal(o, uint64(i))
				}
				got, algorithm := results(t, d, r, in)
				want := "cuDNN engine 8"
				if grad {
					want = "cuDNN engine 8, then 10"
				}
				switch {
				case strings.HasPrefix(algorithm, "own"):
					if fake || !strings.Contains(algorithm, "cuDNN") {
						t.Errorf("%s", algorithm)
					}
					t.Skip(algorithm)
				case fake && algorithm != want:
					t.Errorf("%q, want %q", algorithm, want)
				}
				if fake { // NVIDIA's may choose another kernel for one sample
					if one, _ := results(t, apart, r, in); !bytes.Equal(one, got) {
						t.Error("other bytes if samples are done one after the other")
					}
				}
				var right []float64
				if c.queries*c.keys*c.n*c.heads <= 1<<20 {
					right = referenceResults(t, c.request(grad, device.Float32), in)
				} else {
					b, _ := results(t, own, r, in)
					right = widened(b)
				}
				// Each of the gradients is a matter of its own.
				parts := []int{len(right)}
				if grad {
					q, k := op.Size(r.In[0].Shape), op.Size(r.In[1].Shape)
					parts = []int{q, k, k}
				}
				values := widened(got)
				for i, n := range parts {
					var sum, off float64
					for j := range n {
						sum += right[j] * right[j]
						off += (values[j] - right[j]) * (values[j] - right[j])
					}
					right, values = right[n:], values[n:]
					// P and its gradient are rounded to bfloat16, 2⁻⁹ each.
					if e := math.Sqrt(off / sum); !(e < 8e-3) {
						t.Errorf("part %d: relative error %.2g", i, e)
					}
				}
			})
		}
	}
}

// TestAttentionsByCuDNN takes cuDNN for all attentions, however small; there is no telling what NVIDIA's library
// makes of them.
func TestAttentionsByCuDNN(t *testing.T) {
	if *driver == "" {
		t.Skip("this is for the fake library")
	}
	devicetest.Run(t, open(t, cuda.Limits{Scores: 1, Probabilities: 128 << 10}), "attention")
}

// TestSamplesOfAttentionApart has more scores than gradients are taken of at once.
func TestSamplesOfAttentionApart(t *testing.T) {
	d := open(t, cuda.Limits{Scores: 1})
	k, err := d.Compile(attentionCase{8, 4096, 4096, 8, 40}.request(true, device.BFloat16))
	if err != nil {
		t.Fatal(err)
	}
	if a := k.Algorithm(); *driver != "" && a != "cuDNN engine 8, then 10 in 4 parts" {
		t.Errorf("%q", a)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

// TestAttentionOfOurOwn is what cuDNN doesn't get or doesn't want.
func TestAttentionOfOurOwn(t *testing.T) {
	if *driver == "" {
		t.Skip("what is offered is the fake library's")
	}
	for name, c := range map[string]struct {
		limits  cuda.Limits
		request device.Request
		want    string
	}{
		"few scores": {cuda.Limits{}, attentionCase{1, 256, 256, 8, 40}.request(false, device.BFloat16), "own"},
		"many": {
			cuda.Limits{}, attentionCase{1, 1024, 256, 8, 40}.request(false, device.BFloat16), "cuDNN engine 8",
		},
		"not wanted": {
			cuda.Limits{Scores: -1}, attentionCase{1, 1024, 256, 8, 40}.request(false, device.BFloat16), "own",
		},
		"heads of 44":      {cuda.Limits{}, attentionCase{1, 1024, 256, 8, 44}.request(false, device.BFloat16), "own"},
		"gradients of few": {cuda.Limits{}, attentionCase{1, 1024, 512, 8, 40}.request(true, device.BFloat16), "own"},
		"gradients": {
			cuda.Limits{}, attentionCase{1, 1024, 1024, 8, 40}.request(true, device.BFloat16), "cuDNN engine 8, then 10",
		},
		"gradients of many": {cuda.Limits{}, attentionCase{1, 4096, 4096, 8, 40}.request(true, device.BFloat16), "own"},
		"no engine": {
			cuda.Limits{},
			attentionCase{1, 1024, 1024, 8, 56}.request(true, device.BFloat16),
			"own (cuDNN: no engine is offered that has a fixed order)",
		},
		"float32":    {cuda.Limits{}, attentionCase{1, 1024, 256, 8, 40}.request(false, device.Float32), "cuBLASLt"},
		"no library": {cuda.Limits{}, attentionCase{1, 1024, 256, 8, 40}.request(false, device.BFloat16), "own"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no library" {
				t.Setenv(libraries, "none")
			}
			k, err := open(t, c.limits).Compile(c.request)
			if err != nil {
				t.Fatal(err)
			}
			if got := k.Algorithm(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// results runs a kernel twice, the second time from a recording, and demands the same bytes.
func results(t *testing.T, d *cuda.Device, r device.Request, in [][]byte) (out []byte, algorithm string) {
	t.Helper()
	k, err := d.Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	var held []device.Memory
	alloc := func(bytes int64) device.Pointer {
		m, err := d.Alloc(bytes)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, m)
		return m.Ptr
	}
	call := device.Call{Kernel: k, Out: alloc(r.Out.Bytes()), Workspace: alloc(k.Workspace())}
	for _, b := range in {
		p := alloc(int64(len(b)))
		call.In = append(call.In, p)
		err = errors.Join(err, d.Upload(p, b))
	}
	out, again := make([]byte, r.Out.Bytes()), make([]byte, r.Out.Bytes())
	err = errors.Join(err, k.Run(call.Out, call.In, call.Workspace), d.Download(out, call.Out), d.Upload(call.Out, again))
	recording, failed := d.Record([]device.Call{call})
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(recording.Replay(), d.Download(again, call.Out), recording.Close())
	if !bytes.Equal(out, again) {
		t.Error("other bytes from a recording")
	}
	algorithm = k.Algorithm()
	err = errors.Join(err, k.Close())
	for _, m := range held {
		err = errors.Join(err, d.Free(m))
	}
	if err != nil {
		t.Fatal(err)
	}
	return out, algorithm
}

// referenceResults is what the reference device makes of the same numbers.
func referenceResults(t *testing.T, r device.Request, in [][]byte) []float64 {
	t.Helper()
	d := ref.New()
	k, err := d.Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	var pointers []device.Pointer
	for _, b := range in {
		x := make([]float32, 0, len(b)/2)
		for _, v := range widened(b) {
			x = append(x, float32(v))
		}
		pointers = append(pointers, unsafe.Pointer(unsafe.SliceData(x)))
	}
	y, workspace := make([]float32, op.Size(r.Out.Shape)), make([]float64, k.Workspace()/8+1)
	err = k.Run(unsafe.Pointer(unsafe.SliceData(y)), pointers, unsafe.Pointer(unsafe.SliceData(workspace)))
	if err := errors.Join(err, d.Synchronize(), k.Close()); err != nil {
		t.Fatal(err)
	}
	values := make([]float64, len(y))
	for i, v := range y {
		values[i] = float64(v)
	}
	return values
}

// normal is numbers of deviation 1. Each input is to have its own: where queries are keys, each sees itself alone,
// and gradients are differences of equal numbers.
func normal(o device.Operand, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, 0, o.Bytes())
	for len(b) < cap(b) {
		b = binary.NativeEndian.AppendUint16(b, uint16(math.Float32bits(float32(rng.NormFloat64()))>>16))
	}
	return b
}

// widened is the numbers of bfloat16.
func widened(b []byte) []float64 {
	x := make([]float64, len(b)/2)
	for i := range x {
		x[i] = float64(math.Float32frombits(uint32(binary.NativeEndian.Uint16(b[2*i:])) << 16))
	}
	return x
}
