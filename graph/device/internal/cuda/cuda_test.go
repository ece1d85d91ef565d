//go:build gpu

package cuda_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda"
	"github.com/histdist/histdist/graph/device/internal/devicetest"
	"github.com/histdist/histdist/graph/device/internal/ref"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// driver is the library that the tests open: the fake one that `make gpu-test` builds, or with -driver="" NVIDIA's.
var driver = flag.String("driver", filepath.FromSlash("../../../../bin/cuda/fake/libcuda.so.1"),
	"the driver's library; \"\" is NVIDIA's")

// libraries is the environment variable that names the folders of NVIDIA's libraries. With the fake driver they are
// the fake ones: see TestMain.
const libraries = "HISTDIST_CUDA_LIBRARIES"

func open(t testing.TB, l cuda.Limits) *cuda.Device {
	t.Helper()
	return openGPU(t, 0, l)
}

func openGPU(t testing.TB, ordinal int, l cuda.Limits) *cuda.Device {
	t.Helper()
	d, err := cuda.NewLimited(ordinal, l)
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

// TestConformance gives attention and patches so little memory that some cases are done in several parts and others
// at once. Products are cuBLASLt's, but for those of unaligned operands, which are our own kernels'.
func TestConformance(t *testing.T) {
	devicetest.Run(t, open(t, cuda.Limits{Probabilities: 512 << 10, Patches: 64 << 10}))
}

// TestConvolutionsByCuDNN has the suite's convolutions in bfloat16, which are small, done by cuDNN as if they were
// large.
func TestConvolutionsByCuDNN(t *testing.T) {
	devicetest.Run(t, open(t, cuda.Limits{Patches: -1}), "conv")
}

func TestOpenErrors(t *testing.T) {
	if _, err := cuda.New(1000); err == nil || !strings.Contains(err.Error(), "cuda:1000: there are") {
		t.Errorf("GPU 1000: error %v, want the number of GPUs", err)
	}
}

func TestRead(t *testing.T) {
	i, err := cuda.Read()
	if err != nil {
		t.Fatal(err)
	}
	if len(i.GPUs) == 0 {
		t.Fatalf("no GPUs in %q", i)
	}
	for n, g := range i.GPUs {
		want := fmt.Sprintf("cuda:%d %s, compute capability %s", n, g.Name, g.Capability)
		if g.Bytes == 0 || !strings.Contains(i.String(), want) {
			t.Errorf("%+v is told as %q", g, i)
		}
	}
}

func TestCopiesLargerThanTheirBuffers(t *testing.T) {
	d := open(t, cuda.Limits{})
	want := make([]byte, 19<<20)
	for i := range want {
		want[i] = byte(i>>16 ^ i)
	}
	m, err := d.Alloc(int64(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if err := errors.Join(d.Upload(m.Ptr, want), d.Download(got, m.Ptr), d.Free(m)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("not what was uploaded")
	}
}

// TestClosedWithMemory also shows that a device can be opened again after another one.
func TestClosedWithMemory(t *testing.T) {
	d, err := cuda.New(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Alloc(100); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "closed with 100 bytes allocated") {
		t.Errorf("error %v, want the number of bytes", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if _, err := d.Alloc(1); err == nil {
		t.Error("a closed device allocates")
	}
}

// network is a block of every kind of layer with its gradients, in the shapes of nothing in particular.
func network(t *testing.T) (outputs gorgonia.Nodes, feeds vm.Feeds) {
	s := op.NewScope("block")
	param := func(name string, base, scale float32, shape ...int) *gorgonia.Node {
		p := s.Param(name, shape...)
		if err := gorgonia.Let(p, filled(p.Shape(), uint64(len(s.Params())), base, scale)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	x := s.Input("x", 2, 6, 6, 16)
	h := op.GroupNorm{Groups: 4, SiLU: true}.
		Apply(s, x, param("norm.weight", 1, 0.4, 16), param("norm.bias", 0, 0.4, 16), 1e-5)
	h = op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}}.
		Apply(s, h, param("conv.weight", 0, 0.3, 3, 3, 16, 16), param("conv.bias", 0, 0.3, 16), x)
	tokens := op.View{2, 36, 16}.Apply(s, h)
	n := op.LayerNorm{Eps: 1e-5}.Apply(s, tokens, param("layer.weight", 1, 0.4, 16), param("layer.bias", 0, 0.4, 16))
	q := op.Linear{}.Apply(s, n, param("q", 0, 0.8, 16, 16), nil, nil)
	k := op.Linear{}.Apply(s, n, param("k", 0, 0.8, 16, 16), nil, nil)
	v := op.Linear{}.Apply(s, n, param("v", 0, 0.8, 16, 16), nil, nil)
	a := op.Attention{Heads: 2}.Apply(s, q, k, v)
	tokens = op.Linear{}.Apply(s, a, param("out", 0, 0.8, 16, 16), param("out.bias", 0, 0.3, 16), tokens)
	target := s.Input("target", 2, 36, 16)
	loss := op.MSE{}.Apply(s, tokens, target, nil)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	grads, err := graph.Gradients(loss, s.Params()...)
	if err != nil {
		t.Fatal(err)
	}
	feeds = vm.Feeds{x: filled(x.Shape(), 101, 0, 2), target: filled(target.Shape(), 102, 0, 2)}
	return append(gorgonia.Nodes{loss, tokens}, grads...), feeds
}

// filled is base plus uniform noise of a seed in ±scale/2.
func filled(shape tensor.Shape, seed uint64, base, scale float32) *tensor.Dense {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, op.Size(shape))
	for i := range x {
		x[i] = base + scale*(rng.Float32()-0.5)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
}

func compile(t *testing.T, outputs gorgonia.Nodes, d device.Device) *vm.Program {
	t.Helper()
	p, err := vm.Compile(outputs, vm.Options{Device: d})
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

// TestProgram compares a program with the same on the reference device, with NVIDIA's libraries and without them. The
// bound is for some twenty roundings of float32 one after the other, each of sums of up to 144 terms (devicetest's is
// u·(8 + √144) = 1.2e-6 for one of them).
func TestProgram(t *testing.T) {
	outputs, feeds := network(t)
	run := func(t *testing.T, d device.Device) [][]float32 {
		values, err := compile(t, outputs, d).Run(t.Context(), feeds)
		if err != nil {
			t.Fatal(err)
		}
		var all [][]float32
		for _, v := range values {
			all = append(all, slices.Clone(v.Float32s()))
		}
		return all
	}
	want := run(t, ref.New())
	for _, without := range []bool{false, true} {
		t.Run(fmt.Sprintf("without libraries=%v", without), func(t *testing.T) {
			if without {
				t.Setenv(libraries, "none")
			}
			d := open(t, cuda.Limits{})
			l, missing := d.Libraries()
			for _, err := range missing {
				if !errors.Is(err, cuda.ErrNoLibrary) {
					t.Errorf("error %v, want ErrNoLibrary", err)
				}
			}
			if without && len(l) > 0 || !without && *driver != "" && len(missing) > 0 {
				t.Fatalf("libraries %v, missing %v", l, missing)
			}
			got := run(t, d)
			for i := range want {
				var sum, off float64
				for j := range want[i] {
					sum += float64(want[i][j]) * float64(want[i][j])
					off += math.Pow(float64(got[i][j])-float64(want[i][j]), 2)
				}
				if e := math.Sqrt(off / sum); !(e < 2e-5) {
					t.Errorf("%s: relative error %.2g", outputs[i].Name(), e)
				}
			}
		})
	}
}

// TestStepsOnlyLaunch reads what the driver was asked to do: the first run launches kernel after kernel, the second
// one records them, and from then on a run is one call. Nothing is allocated, copied or waited for between the
// kernels. Only the fake driver keeps a log.
func TestStepsOnlyLaunch(t *testing.T) {
	if *driver == "" {
		t.Skip("NVIDIA's driver keeps no log: run it under nsys")
	}
	outputs, feeds := network(t)
	p := compile(t, outputs, open(t, cuda.Limits{}))
	var results [][]float32
	for run, want := range [][]string{
		{"upload", "launch", "synchronize", "download"},
		{"upload", "capture", "launch", "replay", "synchronize", "download"},
		{"upload", "replay", "synchronize", "download"},
	} {
		before := len(calls(t))
		values, err := p.Run(t.Context(), feeds)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, c := range calls(t)[before:] {
			kind, _, _ := strings.Cut(c, " ")
			if run == 0 && (kind == "alloc" || kind == "memset") || kind == "synchronize" && slices.Contains(kinds, "download") {
				continue // inputs get their memory, and downloads wait
			}
			kinds = append(kinds, kind)
		}
		if kinds = slices.Compact(kinds); !slices.Equal(kinds, want) {
			t.Errorf("run %d: %v, want %v", run, kinds, want)
		}
		for i, v := range values {
			if run == 0 {
				results = append(results, slices.Clone(v.Float32s()))
			} else if !slices.Equal(v.Float32s(), results[i]) {
				t.Errorf("run %d: %s differs from run 0", run, outputs[i].Name())
			}
		}
	}
}

// calls are the lines of the fake driver's log.
func calls(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(os.Getenv("HISTDIST_FAKE_CUDA_LOG"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// TestMain opens the driver, which stays the process's. It names the fake driver's log before that, and the fake
// libraries.
func TestMain(m *testing.M) {
	flag.Parse()
	folder, err := os.MkdirTemp("", "cuda")
	if err == nil {
		err = os.Setenv("HISTDIST_FAKE_CUDA_LOG", filepath.Join(folder, "log"))
	}
	if err == nil && *driver != "" {
		err = os.Setenv(libraries, filepath.Dir(*driver))
	}
	if err == nil {
		if err = cuda.OpenDriver(*driver); err != nil {
			err = fmt.Errorf("%w (scripts/cuda.sh fake builds the fake driver of the tests)", err)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
