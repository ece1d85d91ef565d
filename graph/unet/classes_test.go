package unet_test

import (
	"math"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// labelled is the golden file's U-Net for two samples, with class labels if there are any.
type labelled struct {
	*unet.Network
	feeds vm.Feeds
	bias  *gorgonia.Node // of the time embedding
	table *gorgonia.Node // of the class labels, zeros; nil without
}

const (
	classes  = 3
	lastBias = "time_embedding.linear_2.bias"
)

func newLabelled(t *testing.T, labels []int) labelled {
	c, err := unet.ReadConfig(golden.Path(t, "tiny/unet/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if labels != nil {
		c.NumClassEmbeds = classes
	}
	const batch, side, tokens = 2, 4, 3
	n, err := unet.Build(c, unet.Size{Batch: batch, Height: side, Width: side, Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	var others gorgonia.Nodes
	l := labelled{Network: n, bias: n.Scope.Leaf(lastBias), table: n.Scope.Leaf(unet.ClassTable)}
	for _, p := range n.Scope.Params() {
		if p != l.table {
			others = append(others, p)
		}
	}
	networktest.Bind(t, others, "tiny/unet", weights.Mapping{})
	wave := func(n int, from float64) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(math.Sin(from + 0.7*float64(i)))
		}
		return x
	}
	l.feeds = vm.Feeds{}.Set(n.Sample, wave(batch*side*side*c.InChannels, 1)).Set(n.Timesteps, []float32{3, 700}).
		Set(n.Context, wave(batch*tokens*c.CrossAttentionDim, 2))
	if labels != nil {
		oneHot, err := c.OneHot(labels)
		if err != nil {
			t.Fatal(err)
		}
		l.feeds.Set(n.Classes, oneHot)
		shape := l.table.Shape()
		if err := gorgonia.Let(l.table, tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func data(n *gorgonia.Node) []float32 { return n.Value().Data().([]float32) }

// As in diffusers' UNet2DConditionModel, a label's row is added to the time embedding: it is a bias of that.
func TestClassLabelsAreABiasOfTheTimeEmbedding(t *testing.T) {
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		l := newLabelled(t, []int{2, 2})
		row := data(l.table)[2*len(data(l.table))/classes:]
		plain := newLabelled(t, nil)
		want := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{plain.Output}, plain.feeds)[0].Data
		got := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{l.Output}, l.feeds)[0].Data
		if far := networktest.Relative(t, got, want); far > 1e-6 {
			t.Errorf("a table of zeros: relative difference %g", far)
		}
		for i := range row {
			row[i] = float32(math.Cos(float64(i)))
			data(plain.bias)[i] += row[i]
		}
		moved := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{plain.Output}, plain.feeds)[0].Data
		got = networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{l.Output}, l.feeds)[0].Data
		if far := networktest.Relative(t, got, moved); far > 1e-5 { // roundings of float32
			t.Errorf("a row as a bias: relative difference %g", far)
		}
		if far := networktest.Relative(t, moved, want); far < 1e-3 {
			t.Errorf("the row changes the output by %g alone", far)
		}
	})
}

// Of two samples with one label each, the gradient of a row is that of the bias for its sample, and other rows have
// none.
func TestGradientOfClassLabels(t *testing.T) {
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		of := func(labels []int, weights []float32) (table, bias []float32) {
			l := newLabelled(t, labels)
			shape := l.Output.Shape()
			target, each := l.Scope.Input("target", shape...), l.Scope.Input("weights", shape[0])
			loss := op.MSE{}.Apply(l.Scope, l.Output, target, each)
			if err := l.Scope.Err(); err != nil {
				t.Fatal(err)
			}
			grads, err := graph.Gradients(loss, l.table, l.bias)
			if err != nil {
				t.Fatal(err)
			}
			feeds := l.feeds.Set(target, make([]float32, op.Size(shape))).Set(each, weights)
			out := networktest.Compute(t, vm.Options{Device: d}, grads, feeds)
			return out[0].Data, out[1].Data
		}
		both, all := of([]int{2, 1}, []float32{1, 1})
		_, first := of([]int{2, 1}, []float32{1, 0})
		n := len(all)
		for i := range n {
			scale := math.Abs(float64(first[i])) + math.Abs(float64(all[i])) + 1e-6
			if far := math.Abs(float64(both[2*n+i] - first[i])); far > 1e-4*scale {
				t.Fatalf("row 2 has %g at %d, the bias for its sample %g", both[2*n+i], i, first[i])
			}
			if far := math.Abs(float64(both[n+i] - (all[i] - first[i]))); far > 1e-4*scale {
				t.Fatalf("row 1 has %g at %d, the bias for its sample %g", both[n+i], i, all[i]-first[i])
			}
			if both[i] != 0 {
				t.Fatalf("row 0, which no sample has, has %g", both[i])
			}
		}
	})
}

func TestLabelsThatDoNotFit(t *testing.T) {
	c := unet.SD15()
	if x, err := c.OneHot(nil); x != nil || err != nil {
		t.Errorf("no labels without classes: %v, %v", x, err)
	}
	if _, err := c.OneHot([]int{1}); err == nil || !strings.Contains(err.Error(), "without them") {
		t.Errorf("a label without classes: %v", err)
	}
	c.NumClassEmbeds = 3
	if _, err := c.OneHot([]int{0, 3}); err == nil || !strings.Contains(err.Error(), "0 to 2") {
		t.Errorf("a label of other classes: %v", err)
	}
	wide, shape, err := unet.WidenClasses([]float32{1, 2, 3, 4}, []int{2, 2}, 3)
	if err != nil || shape[0] != 3 || shape[1] != 2 || wide[3] != 4 || wide[4] != 0 || wide[5] != 0 {
		t.Errorf("widened: %v %v, %v", wide, shape, err)
	}
	if _, _, err := unet.WidenClasses(wide, shape, 2); err == nil || !strings.Contains(err.Error(), "3 rows") {
		t.Errorf("fewer rows: %v", err)
	}
}
