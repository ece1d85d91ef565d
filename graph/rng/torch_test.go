package rng_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/rng"
)

// draw is one call of a golden draw: what PyTorch's function of this kind gives for a tensor of n elements. It returns
// []int64 or []float64, and the tolerance of the latter.
func draw(t *testing.T, g *rng.Torch, kind string, n int, avx2 bool) (any, float64) {
	t.Helper()
	vector := vectorTolerance // of n normals
	if avx2 || n < 16 {
		vector = 0
	}
	single := make([]float32, n)
	double := make([]float64, n)
	integers := make([]int64, n)
	switch kind {
	case "randn":
		g.Randn(single)
		return widen(single), vector
	case "randn64", "randn_f64":
		g.Randn64(double)
		return double, libraryTolerance
	case "randnbf16", "randn_bf16":
		g.RandnHalf(single, rng.BFloat16)
		return widen(single), vector * (1 << 13)
	case "randn_f16":
		g.RandnHalf(single, rng.Float16)
		return widen(single), vector * (1 << 10)
	case "rand":
		g.Rand(single)
		return widen(single), 0
	case "rand_f64":
		g.Rand64(double)
		return double, 0
	case "rand_bf16":
		g.RandHalf(single, rng.BFloat16)
		return widen(single), 0
	case "random_int64":
		for i := range integers {
			integers[i] = g.Int63()
		}
		return integers, 0
	case "randperm":
		for i, p := range g.RandPerm(n) {
			integers[i] = int64(p)
		}
		return integers, 0
	case "bernoulli_0.3":
		for i := range double {
			double[i] = indicator(g.Bernoulli(0.3))
		}
		return double, 0
	case "bernoulli_tensor_0.3":
		for i := range double {
			double[i] = indicator(g.BernoulliTensor(0.3))
		}
		return double, 0
	case "normal_mean2_std3":
		g.Normal(single, 2, 3)
		return widen(single), 3 * vector
	case "uniform_-2_3":
		g.Uniform(single, -2, 3)
		return widen(single), 0
	case "normal_noncontiguous": // one at a time in the order of memory, which is the transposed one
		for i := range single {
			g.Randn(single[i : i+1])
		}
		return widen(single), 0
	case "randint":
		kind = "randint_0_1000"
	}
	var low, high int64
	if m := regexp.MustCompile(`^randint_0_2\^(\d+)$`).FindStringSubmatch(kind); m != nil {
		bits, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		high = 1 << bits
	} else if _, err := fmt.Sscanf(kind, "randint_%d_%d", &low, &high); err != nil {
		t.Fatalf("draws of an unknown kind: %q", kind)
	}
	for i := range integers {
		integers[i] = g.RandInt(low, high)
	}
	return integers, 0
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// compareDraw draws with g what the golden tensor name holds and compares.
func (r reference) compareDraw(t *testing.T, g *rng.Torch, name, kind string) {
	t.Helper()
	got, tolerance := draw(t, g, kind, product(r.shape(t, name)), r.avx2)
	switch got := got.(type) {
	case []int64:
		r.compareIntegers(t, name, got)
	case []float64:
		r.compareFloats(t, name, got, tolerance)
	}
}

// eachSeed runs f as a subtest for every seed of the golden draws; prefix is that of the seed's tensors.
func eachSeed(t *testing.T, f func(t *testing.T, r reference, seed int64, prefix string)) {
	r := open(t)
	for _, s := range readManifest(t).Seeds {
		t.Run(s.String(), func(t *testing.T) {
			seed, err := s.Int64()
			if err != nil {
				t.Fatal(err)
			}
			f(t, r, seed, "s"+s.String()+"/")
		})
	}
}

// Draws of a fresh generator: every tensor that isn't part of a longer story below.
func TestTorchDraws(t *testing.T) {
	story := regexp.MustCompile(`^(chain|chain_state|chain_words|state|words|train_step|dataloader_order|` +
		`randn_tensor_list|randn_tensor_bf16|numpy)/`)
	eachSeed(t, func(t *testing.T, r reference, seed int64, prefix string) {
		for _, name := range r.names(t, prefix) {
			if story.MatchString(name) {
				continue
			}
			g := rng.NewTorch(seed)
			kind, _, _ := strings.Cut(name, "/")
			if kind == "normal_noncontiguous" {
				r.compareTransposed(t, g, prefix+name, kind)
			} else {
				r.compareDraw(t, g, prefix+name, kind)
			}
		}
	})
}

// compareTransposed compares with a draw that was made in column-major order.
func (r reference) compareTransposed(t *testing.T, g *rng.Torch, name, kind string) {
	t.Helper()
	shape := r.shape(t, name)
	rows, columns := shape[0], shape[1]
	drawn, tolerance := draw(t, g, kind, rows*columns, r.avx2)
	got := make([]float64, rows*columns)
	for i, v := range drawn.([]float64) {
		got[i%rows*columns+i/rows] = v
	}
	r.compareFloats(t, name, got, tolerance)
}

// One generator, many draws in a row: what a small draw of normals leaves cached, a later one uses first.
func TestTorchChain(t *testing.T) {
	eachSeed(t, func(t *testing.T, r reference, seed int64, prefix string) {
		g := rng.NewTorch(seed)
		compareState(t, r, prefix+"state/fresh", g)
		step := regexp.MustCompile(`^(\d+)_([a-z0-9]+)_\d+(/64)?$`)
		byIndex := map[string]string{}
		for _, name := range r.names(t, prefix+"chain/") {
			m := step.FindStringSubmatch(name)
			if m == nil {
				t.Fatalf("unknown step %q", name)
			}
			byIndex[m[1]] = name
		}
		for i := range len(byIndex) {
			index := fmt.Sprintf("%02d", i)
			r.compareDraw(t, g, prefix+"chain/"+byIndex[index], step.FindStringSubmatch(byIndex[index])[2])
			if state := prefix + "chain_state/" + index; r.has(state) {
				compareState(t, r, state, g)
			}
		}
	})
}

func (r reference) has(name string) bool {
	_, ok := r.tensors.Tensor(name)
	return ok
}

// compareState compares a generator's state with PyTorch's, byte for byte but for the cached normal, whose last bits
// are the C library's, and the numbers that follow from either.
func compareState(t *testing.T, r reference, name string, g *rng.Torch) {
	t.Helper()
	want, got := bytes.Clone(r.view(t, name).Data()), g.State()
	theirs, ours := rng.NewTorch(99), rng.NewTorch(99)
	if err := theirs.SetState(want); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !bytes.Equal(theirs.State(), want) {
		t.Errorf("%s: restoring and saving changes the state", name)
	}
	if err := ours.SetState(got); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	a, b := make([]float32, 7), make([]float32, 7)
	theirs.Randn(a)
	ours.Randn(b)
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("%s: draws after restoring (-PyTorch's state +ours):\n%s", name, diff)
	}
	compareFloats(t, name+" cached normal", []float64{cachedNormal(want)}, []float64{cachedNormal(got)}, libraryTolerance)
	copy(got[normalAt:normalAt+8], want[normalAt:normalAt+8])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// normalAt is where a state has its cached normal.
const normalAt = 5024

func cachedNormal(state []byte) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(state[normalAt:]))
}

// The draws of one training step: the posterior sample, the noise, the offset noise and the perturbation (both drawn
// even where their scales are 0), the time steps.
func TestTorchTrainingStep(t *testing.T) {
	eachSeed(t, func(t *testing.T, r reference, seed int64, prefix string) {
		g := rng.NewTorch(seed)
		for _, name := range []string{"posterior", "noise", "offset", "perturbation"} {
			r.compareDraw(t, g, prefix+"train_step/"+name, "randn")
		}
		r.compareDraw(t, g, prefix+"train_step/timesteps", "randint_0_1000")
	})
}

// The order of a shuffled torch.utils.data.DataLoader: an epoch draws a base seed for its workers, then a seed for a
// generator of its own, whose permutation is the order.
func TestTorchDataLoader(t *testing.T) {
	eachSeed(t, func(t *testing.T, r reference, seed int64, prefix string) {
		g := rng.NewTorch(seed)
		for _, epoch := range []string{"epoch0", "epoch1"} {
			g.Int63()
			r.compareDraw(t, rng.NewTorch(g.Int63()), prefix+"dataloader_order/"+epoch, "randperm")
		}
		r.compareDraw(t, g, prefix+"dataloader_order/next_rand", "rand")
	})
}

// diffusers' randn_tensor: a generator for each picture, seeds s and s+1; and in bfloat16.
func TestTorchPerPicture(t *testing.T) {
	eachSeed(t, func(t *testing.T, r reference, seed int64, prefix string) {
		for _, name := range r.names(t, prefix+"randn_tensor_list/") {
			name = prefix + "randn_tensor_list/" + name
			shape := r.shape(t, name)
			n, c, h, w := shape[0], shape[1], shape[2], shape[3]
			size := c * h * w
			nhwc := make([]float32, n*size)
			for i := range n {
				if err := rng.NewTorch(seed+int64(i)).RandnNHWC(nhwc[i*size:(i+1)*size], 1, h, w, c); err != nil {
					t.Fatal(err)
				}
			}
			tolerance := vectorTolerance
			if r.avx2 {
				tolerance = 0
			}
			r.compareFloats(t, name, widen(nchw(nhwc, n, h, w, c)), tolerance)
		}
		for _, name := range r.names(t, prefix+"randn_tensor_bf16/") {
			r.compareDraw(t, rng.NewTorch(seed), prefix+"randn_tensor_bf16/"+name, "randn_bf16")
		}
	})
}

// nchw turns [N,H,W,C] into [N,C,H,W].
func nchw(x []float32, n, h, w, c int) []float32 {
	y := make([]float32, len(x))
	for i := range n {
		for p := range h * w {
			for j := range c {
				y[(i*c+j)*h*w+p] = x[(i*h*w+p)*c+j]
			}
		}
	}
	return y
}

// Only the lower 32 bits of a seed count, and a negative one is taken modulo 2⁶⁴.
func TestTorchFoldsSeeds(t *testing.T) {
	r := open(t)
	for _, name := range r.tensors.Names() {
		text, ok := strings.CutPrefix(name, "fold/")
		if !ok {
			continue // sets of other seeds have none
		}
		seed, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			unsigned, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			seed = int64(unsigned)
		}
		r.compareDraw(t, rng.NewTorch(seed), name, "rand")
	}
}

func TestRandnNHWCShape(t *testing.T) {
	if err := rng.NewTorch(1).RandnNHWC(make([]float32, 10), 1, 2, 2, 4); err == nil {
		t.Error("10 elements for a shape of 16 are no error")
	}
}

// A generator restored from any moment's state goes on as the one that was saved.
func TestTorchStateProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := rng.NewTorch(rapid.Int64().Draw(t, "seed"))
		for range rapid.IntRange(0, 5).Draw(t, "draws") {
			g.Randn(make([]float32, rapid.IntRange(0, 900).Draw(t, "size")))
		}
		state := g.State()
		h := rng.NewTorch(0)
		if err := h.SetState(state); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(h.State(), state) {
			t.Fatal("saving a restored state changes it")
		}
		a, b := make([]float32, 7), make([]float32, 7)
		for range 200 { // beyond the next refill
			g.Randn(a)
			h.Randn(b)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("the restored generator draws other numbers:\n%s", diff)
			}
		}
	})
}

func TestTorchRangesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := rng.NewTorch(rapid.Int64().Draw(t, "seed"))
		low, high := rapid.Int64().Draw(t, "low"), rapid.Int64().Draw(t, "high")
		if v := g.RandInt(low, high); high > low && (v < low || v >= high) || high <= low && v != low {
			t.Fatalf("RandInt(%d, %d) = %d", low, high, v)
		}
		n := rapid.IntRange(0, 100).Draw(t, "n")
		seen := make([]bool, n)
		for _, i := range g.RandPerm(n) {
			seen[i] = true
		}
		if slices.Contains(seen, false) {
			t.Fatal("RandPerm isn't a permutation")
		}
		u := make([]float32, n)
		for _, half := range []rng.Half{rng.BFloat16, rng.Float16} {
			g.RandHalf(u, half)
			for _, v := range u {
				if v < 0 || v >= 1 {
					t.Fatalf("RandHalf gives %v", v)
				}
			}
		}
	})
}

// A state that can't be PyTorch's is refused and changes nothing.
func TestTorchSetStateRefuses(t *testing.T) {
	good := rng.NewTorch(3).State()
	change := func(at int, value byte) []byte {
		bad := bytes.Clone(good)
		bad[at] = value
		return bad
	}
	for _, test := range []struct {
		name, want string
		state      []byte
	}{
		{"empty", "0 bytes", nil},
		{"short", "5055 bytes", good[:5055]},
		{"not seeded", "seeded is 0", change(12, 0)},
		{"next word disagrees", "at word 255", change(16, 255)},
		{"words left disagree", "7 words left at word 0", change(8, 7)},
		{"word of more than 32 bits", "word 2 is", change(24+2*8+4, 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := rng.NewTorch(3)
			err := g.SetState(test.state)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
			if !bytes.Equal(g.State(), good) {
				t.Error("a refused state has changed the generator")
			}
		})
	}
}

// Whatever SetState takes, State gives back up to what has no meaning (padding), and drawing from it doesn't fail.
func FuzzTorchSetState(f *testing.F) {
	g := rng.NewTorch(3)
	f.Add(g.State())
	g.Randn(make([]float32, 3))
	f.Add(g.State())
	g.Rand(make([]float32, 640))
	f.Add(g.State())
	f.Fuzz(func(t *testing.T, state []byte) {
		g := rng.NewTorch(0)
		if g.SetState(state) != nil {
			return
		}
		saved := g.State()
		h := rng.NewTorch(1)
		if err := h.SetState(saved); err != nil {
			t.Fatalf("the saved state is refused: %v", err)
		}
		if !bytes.Equal(h.State(), saved) {
			t.Fatal("saving a restored state changes it")
		}
		g.Randn(make([]float32, 3))
		g.Rand(make([]float32, 1300))
	})
}

// TestSkipRandn: whatever is skipped, the generator is in the state in which drawing it would have left it.
func TestSkipRandn(t *testing.T) {
	drawn, skipped := rng.NewTorch(7), rng.NewTorch(7)
	for _, n := range []int{0, 1, 3, 15, 16, 17, 2, 623, 624, 625, 10_000, 12_345} {
		drawn.Randn(make([]float32, n))
		skipped.SkipRandn(n)
		if !bytes.Equal(drawn.State(), skipped.State()) {
			t.Fatalf("%d numbers: the states differ", n)
		}
	}
}

func BenchmarkTorchSkipRandn(b *testing.B) {
	g := rng.NewTorch(1)
	b.SetBytes(4 << 18)
	for b.Loop() {
		g.SkipRandn(1 << 18)
	}
}

func BenchmarkTorchRandn(b *testing.B) {
	for _, n := range []int{8, 4 * 64 * 64, 1 << 20} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			g, dst := rng.NewTorch(1), make([]float32, n)
			b.SetBytes(int64(4 * n))
			for b.Loop() {
				g.Randn(dst)
			}
		})
	}
}

func BenchmarkTorchRandnNHWC(b *testing.B) {
	g, dst := rng.NewTorch(1), make([]float32, 4*64*64)
	b.SetBytes(int64(4 * len(dst)))
	for b.Loop() {
		if err := g.RandnNHWC(dst, 1, 64, 64, 4); err != nil {
			b.Fatal(err)
		}
	}
}
