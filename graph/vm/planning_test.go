package vm

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/internal/hostmem"
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

// planner is a device without kernels: programs for it can be compiled and measured, not run. Its memory is never
// touched, so it takes none.
type planner struct {
	hostmem.Allocator
	workspace func(device.Request) int64
}

func (*planner) Name() string          { return "planner" }
func (*planner) Has(device.DType) bool { return true }
func (*planner) Available() int64      { return 0 }
func (*planner) Close() error          { return nil }

func (p *planner) Compile(r device.Request) (device.Kernel, error) {
	return noKernel(p.workspace(r)), nil
}

type noKernel int64

func (k noKernel) Workspace() int64 { return int64(k) }
func (noKernel) Algorithm() string  { return "" }
func (noKernel) Close() error       { return nil }
func (noKernel) Run(device.Pointer, []device.Pointer, device.Pointer) error {
	return nil
}

// fullSize is Stable Diffusion 1.5's U-Net on 64×64 latents.
func fullSize(t testing.TB) *unet.Network {
	n, err := unet.Build(unet.SD15(), unet.Size{Batch: 1, Height: 64, Width: 64, Tokens: 197})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// trainingStep returns the loss and the gradients of all parameters.
func trainingStep(t testing.TB) gorgonia.Nodes {
	n := fullSize(t)
	s := n.Scope
	loss := op.MSE{}.Apply(s, n.Output, s.Input("target", n.Output.Shape()...), nil)
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
	n := fullSize(t)
	var parameters int
	for _, p := range n.Scope.Params() {
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
		{"inference", gorgonia.Nodes{n.Output}, false},
		{"training", trainingStep(t), false},
		{"checkpointed", trainingStep(t), true},
	} {
		for _, precision := range []Precision{Float32, BFloat16} {
			t.Run(fmt.Sprint(c.name, precision), func(t *testing.T) {
				o := Options{Device: &planner{workspace: workspace}, Precision: precision, Recompute: c.recompute}
				p, err := Compile(c.outputs, o)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				}()
				m := p.Report().Memory
				t.Logf("%d calls, arena %s, lower bound %s", len(p.calls), formatBytes(m.Arena), formatBytes(m.LowerBound))
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
