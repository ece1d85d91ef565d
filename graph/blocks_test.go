package graph_test

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// block is one case of blocks.safetensors: a layer of the reference with its inputs, parameters, output and gradients.
type block struct {
	file *golden.File
	name string
	info string // what the layer is, with its attributes
	out  []int  // the output's shape, in this program's layout
}

// number reads the attribute that pattern's group matches in the case's description; fallback if it isn't there.
func (b block) number(t *testing.T, pattern string, fallback float64) float64 {
	m := regexp.MustCompile(pattern).FindStringSubmatch(b.info)
	if m == nil {
		if fallback < 0 {
			t.Fatalf("%s: no %q in %q", b.name, pattern, b.info)
		}
		return fallback
	}
	x, err := strconv.ParseFloat(strings.TrimRight(m[1], ","), 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (b block) int(t *testing.T, pattern string) int { return int(b.number(t, pattern, -1)) }

// tensor reads one of the case's tensors in this program's layout: images are NHWC, kernels HWIO.
func (b block) tensor(t *testing.T, name string) golden.Tensor[float32] {
	x := b.file.Float32(t, b.name+"/"+name)
	switch {
	case len(x.Shape) == 4 && strings.Contains(name, "param/"):
		return golden.HWIO(x)
	case strings.HasPrefix(b.name, "sdpa"):
		return tokens(x)
	case len(x.Shape) == 4:
		return golden.NHWC(x)
	}
	return x
}

// tokens brings [B,H,L,d] to [B,L,H·d].
func tokens(x golden.Tensor[float32]) golden.Tensor[float32] {
	b, h, l, d := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	y := golden.Tensor[float32]{Shape: []int{b, l, h * d}, Data: make([]float32, len(x.Data))}
	for i := range b {
		for j := range h {
			for k := range l {
				copy(y.Data[((i*l+k)*h+j)*d:][:d], x.Data[((i*h+j)*l+k)*d:][:d])
			}
		}
	}
	return y
}

// layer builds the case's layer from its inputs.
func (b block) layer(t *testing.T, s *op.Scope, in map[string]*gorgonia.Node) *gorgonia.Node {
	x := in["x"]
	norm := nn.NormConfig{
		Groups: int(b.number(t, `(?:groups |GroupNorm\()(\d+)`, 0)),
		Eps:    b.number(t, `eps[ =](\S+?)[,);]`, 1e-5),
	}
	eps := b.number(t, `eps[ =]([0-9.e-]+)`, 1e-5)
	norm.Eps = eps
	heads := int(b.number(t, `(\d+) heads? of`, 1))
	switch kind := b.name; {
	case strings.HasPrefix(kind, "groupnorm"):
		if strings.Contains(b.info, "SiLU") {
			return nn.GroupNormSiLU(s, x, norm)
		}
		return nn.GroupNorm(s, x, norm)
	case strings.HasPrefix(kind, "layernorm"):
		return nn.LayerNorm(s, x, eps)
	case strings.HasPrefix(kind, "resnet"):
		return nn.Resnet(s, x, in["temb"], nn.ResnetConfig{Out: b.out[3], Norm: norm})
	case kind == "transformer_block":
		return nn.TransformerBlock(s, x, in["context"], heads)
	case strings.HasPrefix(kind, "transformer2d"):
		return nn.Transformer2D(s, x, in["context"], nn.Transformer2DConfig{
			Heads: heads, Groups: norm.Groups, Eps: eps, Layers: 1,
			LinearProjection: strings.Contains(b.info, "use_linear_projection=True"),
		})
	case kind == "geglu":
		return nn.GEGLU(s, x, b.out[len(b.out)-1])
	case kind == "attention_vae":
		return nn.ImageAttention(s, x, norm)
	case strings.HasPrefix(kind, "attention"):
		context := x
		if in["context"] != nil {
			context = in["context"]
		}
		return nn.Attention(s, x, context, nn.AttentionConfig{Heads: heads, HeadDim: b.int(t, `heads? of (\d+)`)})
	case strings.HasPrefix(kind, "sdpa"):
		h := b.file.Shape(t, b.name+"/in/q")[1]
		return op.Attention{Heads: h, Causal: strings.Contains(b.info, "causal")}.Apply(s, in["q"], in["k"], in["v"])
	case kind == "downsample_vae":
		return nn.DownsampleRight(s, x)
	case strings.HasPrefix(kind, "downsample"):
		return nn.Downsample(s, x)
	case strings.HasPrefix(kind, "upsample"):
		return nn.Upsample(s, x, b.out[1], b.out[2])
	case strings.HasPrefix(b.info, "Conv2d("):
		return nn.Conv(s, x, nn.ConvConfig{
			Out: b.out[3], Kernel: b.int(t, `Conv2d\(\d+, \d+, (\d+)`),
			Stride: b.int(t, `stride (\d+)`), Pad: op.Pad(b.int(t, `padding (\d+)`)),
		})
	case kind == "linear":
		return nn.Linear(s, x, nn.LinearConfig{Out: b.out[len(b.out)-1], NoBias: !b.file.Has(b.name + "/param/bias")})
	case kind == "time_embedding":
		return nn.TimestepEmbedding(s, x, b.out[1])
	case kind == "silu":
		return op.SiLU.Apply(s, x)
	case kind == "gelu":
		return op.GELU.Apply(s, x)
	case kind == "quick_gelu":
		return op.QuickGELU.Apply(s, x)
	case kind == "mse":
		return op.MSE{}.Apply(s, x, in["y"], nil)
	}
	t.Fatalf("%s: no layer for %q", b.name, b.info)
	return nil
}

// result is what a device makes of a case.
type result struct {
	out   golden.Tensor[float32]
	grads map[string]golden.Tensor[float32] // "grad_in/x", "grad_param/weight"
}

func (b block) run(t *testing.T, d device.Device, precision vm.Precision) result {
	s := op.NewScope(b.name)
	feeds := vm.Feeds{}
	in := map[string]*gorgonia.Node{}
	input := func(leaf, name string) *gorgonia.Node {
		x := b.tensor(t, name)
		n := s.Input(leaf, x.Shape...)
		feeds[n] = dense(x)
		return n
	}
	for _, name := range b.file.Names() {
		if leaf, ok := strings.CutPrefix(name, b.name+"/in/"); ok {
			in[leaf] = input("in/"+leaf, "in/"+leaf)
		}
	}
	out := b.layer(t, s, in)
	seed := input("grad_out", "grad_out")
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	var wrt gorgonia.Nodes
	var names []string
	for _, name := range b.file.Names() {
		if leaf, ok := strings.CutPrefix(name, b.name+"/grad_in/"); ok {
			wrt, names = append(wrt, in[leaf]), append(names, "grad_in/"+leaf)
		}
		if leaf, ok := strings.CutPrefix(name, b.name+"/grad_param/"); ok {
			p := s.Leaf(leaf)
			if p == nil {
				t.Fatalf("%s: the layer has no parameter %s", b.name, leaf)
			}
			if err := gorgonia.Let(p, dense(b.tensor(t, "param/"+leaf))); err != nil {
				t.Fatal(err)
			}
			wrt, names = append(wrt, p), append(names, "grad_param/"+leaf)
		}
	}
	grads, err := gorgonia.Backpropagate(gorgonia.Nodes{out}, gorgonia.Nodes{seed}, wrt)
	if err != nil {
		t.Fatal(err)
	}
	p, err := vm.Compile(append(gorgonia.Nodes{out}, grads...), vm.Options{Device: d, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	values, err := p.Run(t.Context(), feeds)
	if err != nil {
		t.Fatal(err)
	}
	r := result{out: copied(values[0]), grads: map[string]golden.Tensor[float32]{}}
	for i, name := range names {
		r.grads[name] = copied(values[i+1])
	}
	return r
}

func dense(x golden.Tensor[float32]) *tensor.Dense {
	shape := x.Shape
	if len(shape) == 0 {
		shape = []int{1}
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float32(nil), x.Data...)))
}

func copied(x *tensor.Dense) golden.Tensor[float32] {
	return golden.Tensor[float32]{Shape: x.Shape().Clone(), Data: append([]float32(nil), x.Float32s()...)}
}

// blocks lists the cases that are layers with a gradient.
func blocks(t *testing.T) []block {
	f := golden.Open(t, "blocks.safetensors")
	var info map[string]string
	f.MetadataJSON(t, "cases", &info)
	var list []block
	for name, text := range info {
		if strings.HasPrefix(name, "timesteps") || strings.HasPrefix(name, "softmax") {
			continue
		}
		b := block{file: f, name: name, info: text}
		b.out = b.tensor(t, "out").Shape
		list = append(list, b)
	}
	if len(list) == 0 {
		t.Fatal("blocks.safetensors has no cases")
	}
	return list
}

// gradients of a case share a scale: the tolerance is relative to the larger of a tensor's own maximum and 1/100 of the
// largest gradient of the case (golden/README).
func (b block) gradientScale(t *testing.T, names []string) float64 {
	largest := 0.0
	for _, name := range names {
		largest = max(largest, maximum(b.tensor(t, name).Data))
	}
	return largest
}

func maximum(x []float32) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

func TestBlocksEqualPyTorch(t *testing.T) {
	list := blocks(t)
	for _, name := range networktest.Names() {
		t.Run(name, func(t *testing.T) {
			d := open(t, name)
			for _, b := range list {
				t.Run(b.name, func(t *testing.T) {
					r := b.run(t, d, vm.Float32)
					within := golden.Within[float32]
					if regexp.MustCompile(`^(silu|gelu|quick_gelu)$`).MatchString(b.name) {
						within = golden.WithinElementwise[float32]
					}
					within(t, r.out.Data, b.tensor(t, "out").Data, b.file.Tolerance(t, b.name+" out"))
					for g, got := range r.grads {
						t.Run(g, func(t *testing.T) {
							within(t, got.Data, b.tensor(t, g).Data, b.file.Tolerance(t, b.name+" grad"))
						})
					}
				})
			}
		})
	}
}

// Relative errors (Frobenius) of bfloat16 programs against the float32 reference: features are rounded to 8 bits after
// every operation. PyTorch's autocast, which keeps parameters and sums in float32 as these programs do, is off by up to
// 7.4e-2 in the gradients of transformer2d_conv, with norm.bias the worst; processors with products in bfloat16 give
// 4.3e-2 there.
const (
	bfloat16Forward  = 1.5e-2
	bfloat16Gradient = 5e-2
)

// A number that is added to all keys drops out of the softmax: the gradient of to_k's bias is 0 but for rounding.
// PyTorch's autocast is off by 6.9e-2 in attention_vae, bfloat16 throughout by 6.8e-2.
const bfloat16KeyBias = 7e-2

func TestBlocksInBFloat16(t *testing.T) {
	for _, name := range networktest.Names() {
		d := open(t, name)
		if !d.Has(device.BFloat16) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, b := range blocks(t) {
				if b.name == "groupnorm_offset" {
					// Its inputs differ by 0.01 at 30, where bfloat16 has steps of 0.125: rounding them leaves nothing.
					continue
				}
				t.Run(b.name, func(t *testing.T) {
					r := b.run(t, d, vm.BFloat16)
					if e := frobenius(r.out.Data, b.tensor(t, "out").Data, 0); !(e <= bfloat16Forward) {
						t.Errorf("out: relative error %.2e, want at most %.2e", e, bfloat16Forward)
					}
					var names []string
					for g := range r.grads {
						names = append(names, g)
					}
					scale := b.gradientScale(t, names) / 100
					for g, got := range r.grads {
						bound := bfloat16Gradient
						if strings.HasSuffix(g, "to_k.bias") {
							bound = bfloat16KeyBias
						}
						if e := frobenius(got.Data, b.tensor(t, g).Data, scale); !(e <= bound) {
							t.Errorf("%s: relative error %.2e, want at most %.2e", g, e, bound)
						}
					}
				})
			}
		})
	}
}

// frobenius is ‖got − want‖ / ‖want‖, with floor as the least root mean square of want.
func frobenius(got, want []float32, floor float64) float64 {
	var d, w float64
	for i := range want {
		e := float64(got[i]) - float64(want[i])
		d += e * e
		w += float64(want[i]) * float64(want[i])
	}
	return math.Sqrt(d) / max(math.Sqrt(w), floor*math.Sqrt(float64(len(want))), 1e-30)
}

func TestTimestepsEqualDiffusers(t *testing.T) {
	f := golden.Open(t, "blocks.safetensors")
	var info map[string]string
	f.MetadataJSON(t, "cases", &info)
	for _, name := range networktest.Names() {
		d := open(t, name)
		for c := range info {
			if !strings.HasPrefix(c, "timesteps") {
				continue
			}
			t.Run(fmt.Sprint(name, "/", c), func(t *testing.T) {
				in, want, exact := f.Int64(t, c+"/in/t"), f.Float32(t, c+"/out"), f.Float64(t, c+"/out64")
				s := op.NewScope(c)
				x := s.Input("t", in.Shape...)
				out := op.TimestepEmbedding{Channels: want.Shape[1], CosFirst: true}.Apply(s, x)
				if err := s.Err(); err != nil {
					t.Fatal(err)
				}
				p, err := vm.Compile(gorgonia.Nodes{out}, vm.Options{Device: d})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				steps := make([]float32, len(in.Data))
				for i, v := range in.Data {
					steps[i] = float32(v)
				}
				got, err := p.Run(t.Context(), vm.Feeds{x: tensor.New(tensor.WithShape(in.Shape...), tensor.WithBacking(steps))})
				if err != nil {
					t.Fatal(err)
				}
				// Where frequencies are equal, rounding is left. PyTorch's exp (MKL's) is not correctly rounded for 3 of 160
				// frequencies; one unit in their last place moves an angle of up to 999 by 999·2⁻²⁴ = 6e-5. Frequencies in
				// float64 would move nearly all of them.
				golden.Within(t, got[0].Float32s(), want.Data, golden.Tolerance{Atol: 7e-5})
				moved := 0
				for i, v := range got[0].Float32s() {
					if math.Abs(float64(v-want.Data[i])) > 2e-7 {
						moved++
					}
				}
				if moved > len(want.Data)*3/100 {
					t.Errorf("%d of %d values differ by more than rounding", moved, len(want.Data))
				}
				wide := make([]float64, len(exact.Data))
				for i, v := range got[0].Float32s() {
					wide[i] = float64(v)
				}
				golden.Within(t, wide, exact.Data, f.Tolerance(t, c+" out (reference f32 against f64)"))
			})
		}
	}
}
