package vm

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func TestPackNeverOverlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) item {
			first := rapid.IntRange(0, 60).Draw(t, "first")
			return item{first, first + rapid.IntRange(0, 40).Draw(t, "length"), rapid.Int64Range(0, 5000).Draw(t, "bytes")}
		}), 0, 80).Draw(t, "items")
		p := pack(items)
		if bound := lowerBound(items); p.size < bound {
			t.Fatalf("arena of %d bytes, below the bound of %d", p.size, bound)
		}
		for i, a := range items {
			if a.bytes > 0 && (p.offsets[i]%alignment != 0 || p.offsets[i]+a.bytes > p.size) {
				t.Fatalf("item %d at %d of %d", i, p.offsets[i], p.size)
			}
			for j, b := range items[:i] {
				if a.bytes > 0 && b.bytes > 0 && a.first <= b.last && b.first <= a.last &&
					p.offsets[i] < p.offsets[j]+b.bytes && p.offsets[j] < p.offsets[i]+a.bytes {
					t.Fatalf("items %v at %d and %v at %d overlap", a, p.offsets[i], b, p.offsets[j])
				}
			}
		}
	})
}

func TestLowerBound(t *testing.T) {
	got := lowerBound([]item{{0, 2, 64}, {1, 3, 128}, {3, 4, 64}, {5, 5, 100}})
	if diff := cmp.Diff(int64(192), got); diff != "" {
		t.Error(diff)
	}
}

// planner is a device without memory or kernels: programs for it can be compiled and measured, not run.
type planner struct{ workspace func(device.Request) int64 }

func (planner) Name() string                          { return "planner" }
func (planner) Has(device.DType) bool                 { return true }
func (planner) HostMemory() bool                      { return true }
func (planner) Alloc(n int64) (device.Memory, error)  { return device.Memory{Bytes: n}, nil }
func (planner) Free(device.Memory) error              { return nil }
func (planner) Allocated() int64                      { return 0 }
func (planner) Available() int64                      { return 0 }
func (planner) Upload(device.Pointer, []byte) error   { return nil }
func (planner) Download([]byte, device.Pointer) error { return nil }
func (planner) Synchronize() error                    { return nil }
func (planner) Close() error                          { return nil }
func (p planner) Compile(r device.Request) (device.Kernel, error) {
	if p.workspace == nil {
		return noKernel(0), nil
	}
	return noKernel(p.workspace(r)), nil
}

type noKernel int64

func (k noKernel) Workspace() int64 { return int64(k) }
func (noKernel) Algorithm() string  { return "" }
func (noKernel) Close() error       { return nil }
func (noKernel) Run(device.Pointer, []device.Pointer, device.Pointer) error {
	return nil
}

// unet is a network with the layers, sizes and skips of Stable Diffusion 1.5's U-Net, for questions of memory.
type unet struct {
	s       *op.Scope
	temb    *gorgonia.Node
	context *gorgonia.Node
	heads   int
}

func (u unet) conv(s *op.Scope, x *gorgonia.Node, k, out, stride int, residual *gorgonia.Node) *gorgonia.Node {
	return op.Convolve(s, x, s.Param("weight", k, k, x.Shape()[3], out), s.Param("bias", out), residual,
		op.ConvConfig{Stride: stride, Pad: op.Pad(k / 2)})
}

func (u unet) linear(s *op.Scope, x *gorgonia.Node, out int, bias bool, residual *gorgonia.Node) *gorgonia.Node {
	var b *gorgonia.Node
	if bias {
		b = s.Param("bias", out)
	}
	return op.Affine(s, x, s.Param("weight", out, x.Shape()[x.Dims()-1]), b, residual)
}

func (u unet) groupNorm(s *op.Scope, x *gorgonia.Node, silu bool) *gorgonia.Node {
	c := x.Shape()[3]
	return op.GroupNormalize(s, x, s.Param("weight", c), s.Param("bias", c), 32, 1e-5, silu)
}

func (u unet) resnet(s *op.Scope, x *gorgonia.Node, out int) *gorgonia.Node {
	s = s.Segment()
	h := u.conv(s.Sub("conv1"), u.groupNorm(s.Sub("norm1"), x, true), 3, out, 1, nil)
	h = op.SumChannels(s, h, u.linear(s.Sub("time_emb_proj"), op.Activate(s, u.temb, op.SiLUAct), out, true, nil))
	h = u.groupNorm(s.Sub("norm2"), h, true)
	if x.Shape()[3] != out {
		x = u.conv(s.Sub("conv_shortcut"), x, 1, out, 1, nil)
	}
	return u.conv(s.Sub("conv2"), h, 3, out, 1, x)
}

func (u unet) attention(s *op.Scope, x, context *gorgonia.Node) *gorgonia.Node {
	c := x.Shape()[2]
	n := op.LayerNormalize(s, x, s.Param("norm.weight", c), s.Param("norm.bias", c), 1e-5)
	if context == nil {
		context = n
	}
	q := u.linear(s.Sub("to_q"), n, c, false, nil)
	k := u.linear(s.Sub("to_k"), context, c, false, nil)
	v := u.linear(s.Sub("to_v"), context, c, false, nil)
	return u.linear(s.Sub("to_out"), op.Attend(s, q, k, v, u.heads, false), c, true, x)
}

func (u unet) transformer(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	s = s.Segment()
	shape := x.Shape()
	c := shape[3]
	h := u.conv(s.Sub("proj_in"), u.groupNorm(s.Sub("norm"), x, false), 1, c, 1, nil)
	h = op.View(s, h, shape[0], shape[1]*shape[2], c)
	h = u.attention(s.Sub("attn1"), h, nil)
	h = u.attention(s.Sub("attn2"), h, u.context)
	n := op.LayerNormalize(s, h, s.Param("norm3.weight", c), s.Param("norm3.bias", c), 1e-5)
	h = u.linear(s.Sub("ff.net.2"), op.GateGELU(s, u.linear(s.Sub("ff.net.0.proj"), n, 8*c, true, nil)), c, true, h)
	return u.conv(s.Sub("proj_out"), op.View(s, h, shape...), 1, c, 1, x)
}

// newUNet returns the output for latents of side×side.
func newUNet(batch, side int) (*op.Scope, *gorgonia.Node) {
	s := op.NewScope("unet")
	u := unet{s: s, heads: 8, context: s.Input("context", batch, 197, 768)}
	t := op.EmbedTimestep(s, s.Input("timestep", batch), op.TimestepEmbedding{Channels: 320, CosFirst: true})
	t = op.Activate(s, u.linear(s.Sub("time_embedding.linear_1"), t, 1280, true, nil), op.SiLUAct)
	u.temb = u.linear(s.Sub("time_embedding.linear_2"), t, 1280, true, nil)

	h := u.conv(s.Sub("conv_in"), s.Input("sample", batch, side, side, 8), 3, 320, 1, nil)
	skips := gorgonia.Nodes{h}
	channels := []int{320, 640, 1280, 1280}
	for i, c := range channels {
		b := s.Sub("down_blocks.%d", i)
		for j := range 2 {
			h = u.resnet(b.Sub("resnets.%d", j), h, c)
			if i < 3 {
				h = u.transformer(b.Sub("attentions.%d", j), h)
			}
			skips = append(skips, h)
		}
		if i < 3 {
			h = u.conv(b.Sub("downsamplers.0"), h, 3, c, 2, nil)
			skips = append(skips, h)
		}
	}
	m := s.Sub("mid_block")
	h = u.resnet(m.Sub("resnets.0"), h, 1280)
	h = u.transformer(m.Sub("attentions.0"), h)
	h = u.resnet(m.Sub("resnets.1"), h, 1280)
	for i := range channels {
		c := channels[3-i]
		b := s.Sub("up_blocks.%d", i)
		for j := range 3 {
			skip := skips[len(skips)-1]
			skips = skips[:len(skips)-1]
			h = u.resnet(b.Sub("resnets.%d", j), op.ConcatChannels(b, h, skip), c)
			if i > 0 {
				h = u.transformer(b.Sub("attentions.%d", j), h)
			}
		}
		if i < 3 {
			up := b.Sub("upsamplers.0")
			h = op.Convolve(up, h, up.Param("weight", 3, 3, c, c), up.Param("bias", c), nil,
				op.ConvConfig{Pad: op.Pad(1), ResizeH: 2 * h.Shape()[1], ResizeW: 2 * h.Shape()[2]})
		}
	}
	return s, u.conv(s.Sub("conv_out"), u.groupNorm(s.Sub("conv_norm_out"), h, true), 3, 4, 1, nil)
}

// trainingStep returns the loss and the gradients of all parameters.
func trainingStep(t testing.TB, batch, side int) gorgonia.Nodes {
	s, out := newUNet(batch, side)
	loss := op.MeanSquaredError(s, out, s.Input("target", batch, side, side, 4), nil)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	grads, err := gorgonia.Grad(loss, s.Params()...)
	if err != nil {
		t.Fatal(err)
	}
	return append(gorgonia.Nodes{loss}, grads...)
}

func TestArenaOfUNetSize(t *testing.T) {
	// The workspaces are about those of Winograd and of packed products.
	workspace := func(r device.Request) int64 { return min(r.Out.Bytes(), 24<<20) }
	s, out := newUNet(1, 64)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	var parameters int
	for _, p := range s.Params() {
		parameters += op.Size(p.Shape())
	}
	if want := 859532484; parameters != want { // Stable Diffusion 1.5's, with 8 input channels
		t.Errorf("%d parameters, want %d", parameters, want)
	}
	for _, c := range []struct {
		name      string
		outputs   gorgonia.Nodes
		recompute bool
	}{
		{"inference", gorgonia.Nodes{out}, false},
		{"training", trainingStep(t, 1, 64), false},
		{"checkpointed", trainingStep(t, 1, 64), true},
	} {
		for _, precision := range []Precision{Float32, BFloat16} {
			t.Run(fmt.Sprint(c.name, precision), func(t *testing.T) {
				p, err := Compile(c.outputs, Options{Device: planner{workspace}, Precision: precision, Recompute: c.recompute})
				if err != nil {
					t.Fatal(err)
				}
				m := p.Report().Memory
				t.Logf("%d steps, arena %s, lower bound %s", len(p.steps), formatBytes(m.Arena), formatBytes(m.LowerBound))
				if float64(m.Arena) > 1.10*float64(m.LowerBound) {
					t.Errorf("arena of %d bytes is %.3f× its lower bound", m.Arena, float64(m.Arena)/float64(m.LowerBound))
				}
			})
		}
	}
}

// BenchmarkPlan shows that planning grows as n log n: the time per node hardly changes.
func BenchmarkPlan(b *testing.B) {
	for _, nodes := range []int{5000, 10000, 20000, 40000, 80000} {
		items := make([]item, nodes)
		for i := range items { // half of the values wait for the backward pass
			items[i] = item{i, i + 3, int64(i%17+1) << 12}
			if i < nodes/2 && i%2 == 0 {
				items[i].last = nodes - i
			}
		}
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			for b.Loop() {
				pack(items)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(nodes), "ns/node")
		})
	}
}
