package lora_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// targets are those of testdata/golden/lora.py.
const targets = "attn2.to_k,attn1.to_q,conv_in,conv_shortcut,proj_in,downsamplers.0.conv,upsamplers.0.conv," +
	"mid_block.attentions.0.transformer_blocks.0.ff.net.2"

// reference is PEFT's run of the tiny U-Net with an adapter.
type reference struct {
	*golden.File
	tolerances map[string]float64
	rank       int
	alpha      float64
}

func openReference(t *testing.T) reference {
	r := reference{File: golden.Open(t, "lora/lora.safetensors"), rank: 2}
	r.MetadataJSON(t, "tolerances", &r.tolerances)
	var err error
	if r.alpha, err = strconv.ParseFloat(r.Metadata(t, "alpha"), 64); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r reference) within(t *testing.T, got golden.Tensor[float32], name, tolerance string) {
	t.Helper()
	want := r.Float32(t, name)
	if len(want.Shape) == 4 && strings.HasPrefix(name, "grad/") {
		want = golden.HWIO(want)
	} else if len(want.Shape) == 4 {
		want = golden.NHWC(want)
	}
	golden.Within(t, got.Data, want.Data, golden.Tolerance{Atol: golden.Allowed(t, r.tolerances[tolerance])})
}

// build makes the graph for the reference's example.
func (r reference) build(t *testing.T, l op.LowRank) *unet.Network {
	t.Helper()
	c, err := unet.ReadConfig(golden.Path(t, "tiny/unet/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c.LowRank = l
	sample, context := r.Shape(t, "sample"), r.Shape(t, "context")
	n, err := unet.Build(c, unet.Size{Batch: 1, Height: sample[2], Width: sample[3], Tokens: context[1]})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (r reference) feeds(t *testing.T, n *unet.Network) vm.Feeds {
	timestep, err := strconv.Atoi(r.Metadata(t, "timestep"))
	if err != nil {
		t.Fatal(err)
	}
	return vm.Feeds{
		n.Sample:    networktest.Dense(golden.NHWC(r.Float32(t, "sample"))),
		n.Context:   networktest.Dense(r.Float32(t, "context")),
		n.Timesteps: networktest.Numbers(golden.Tensor[int64]{Shape: []int{1}, Data: []int64{int64(timestep)}}),
	}
}

// TestOutputAndGradientsEqualPEFT computes the network with its adapter, whose gradients are those of a squared error.
func TestOutputAndGradientsEqualPEFT(t *testing.T) {
	r := openReference(t)
	layers, err := lora.Layers(r.build(t, op.LowRank{}).Scope.Params(), targets, r.rank)
	if err != nil {
		t.Fatal(err)
	}
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		n := r.build(t, op.LowRank{Rank: r.rank, Alpha: r.alpha, Layers: layers})
		var own, base gorgonia.Nodes
		for _, p := range n.Scope.Params() {
			if lora.IsParameter(p.Name()) {
				own = append(own, p)
			} else {
				base = append(base, p)
			}
		}
		networktest.Bind(t, base, "tiny/unet", weights.Mapping{})
		networktest.Bind(t, own, "lora/"+lora.FileName, weights.Mapping{Rename: lora.Param})
		s := n.Scope
		target := golden.NHWC(r.Float32(t, "target"))
		node, one := s.Input("target", target.Shape...), s.Input("weights", 1)
		loss := op.MSE{}.Apply(s, n.Output, node, one)
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		grads, err := graph.Gradients(loss, own...)
		if err != nil {
			t.Fatal(err)
		}
		feeds := r.feeds(t, n).Set(one, []float32{1})
		feeds[node] = networktest.Dense(target)
		for _, recompute := range []bool{false, true} {
			got := networktest.Compute(t, vm.Options{Device: d, Recompute: recompute},
				append(gorgonia.Nodes{n.Output, loss}, grads...), feeds)
			r.within(t, got[0], "output", "output")
			r.within(t, got[1], "loss", "loss")
			for i, p := range own {
				r.within(t, got[2+i], "grad/"+p.Name(), "gradients")
			}
		}
	})
}

// TestMergedEqualsPEFT adds diffusers' file, which leaves alpha out, to the weights.
func TestMergedEqualsPEFT(t *testing.T) {
	r := openReference(t)
	a, err := lora.Open(golden.Path(t, "lora"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := weights.Open(golden.Path(t, "tiny/unet"), weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := a.AddTo(s, r.alpha/float64(r.rank), lora.Fit{}); err != nil {
		t.Fatal(err)
	}
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		n := r.build(t, op.LowRank{})
		if err := s.Bind(n.Scope.Params(), weights.Mapping{}); err != nil {
			t.Fatal(err)
		}
		got := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{n.Output}, r.feeds(t, n))
		r.within(t, got[0], "output", "output")
	})
}

// TestInitialValuesAreLikePEFTs compares the bound of A with the largest of PEFT's values.
func TestInitialValuesAreLikePEFTs(t *testing.T) {
	r := openReference(t)
	var init struct {
		In         int
		Largest, B float64
	}
	r.MetadataJSON(t, "init", &init)
	s := op.NewScope("test")
	a := s.Param("x.lora_A.weight", 64, init.In)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	values, err := lora.Initialise(a, rng.NewTorch(1))
	if err != nil {
		t.Fatal(err)
	}
	largest := 0.0
	for _, v := range values {
		largest = max(largest, math.Abs(float64(v)))
	}
	if math.Abs(largest/init.Largest-1) > 0.05 || init.B != 0 {
		t.Errorf("the largest of A is %g, PEFT's %g, whose B has %g", largest, init.Largest, init.B)
	}
}
