package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// smallNet is a convolution, a GroupNorm with SiLU, attention with a residual, a convolution: x [2,8,8,4] → [2,8,8,4].
func smallNet(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	h := nn.Conv3x3(s.Sub("conv_in"), x, 16)
	h = op.View{2, 64, 16}.Apply(s, nn.GroupNormSiLU(s.Sub("norm"), h, nn.NormConfig{Groups: 4, Eps: 1e-5}))
	h = nn.Attention(s.Sub("attn"), h, h, nn.AttentionConfig{Heads: 2, HeadDim: 8, Residual: h})
	return nn.Conv3x3(s.Sub("conv_out"), op.View{2, 8, 8, 16}.Apply(s, h), 4)
}

// trainer is a compiled training step of smallNet with AdamW.
type trainer struct {
	program          *vm.Program
	x, target, hyper *gorgonia.Node
}

// newTrainer builds the graph, differentiates it, adds the optimiser and compiles all of it.
func newTrainer(d device.Device) (*trainer, error) {
	s := op.NewScope("example")
	x, target := s.Input("x", 2, 8, 8, 4), s.Input("target", 2, 8, 8, 4)
	loss := op.MSE{}.Apply(s, smallNet(s, x), target, nil)
	if err := s.Err(); err != nil { // the first error, with its place
		return nil, err
	}
	params := s.Params()
	for _, p := range params {
		if err := gorgonia.Let(p, initial(p.Name())); err != nil {
			return nil, err
		}
	}
	adamw := graph.NewAdamW(s)
	updates, err := adamw.Minimize(loss, params...)
	if err != nil {
		return nil, err
	}
	program, err := vm.Compile(append(gorgonia.Nodes{loss}, updates...), vm.Options{Device: d})
	return &trainer{program, x, target, adamw.Hyper}, err
}

// step trains once, steps being counted from 1, and returns the loss before the update.
func (t *trainer) step(ctx context.Context, step int) (float32, error) {
	config := op.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2}
	feeds := vm.Feeds{t.x: initial("x"), t.target: initial("target"), t.hyper: config.Hyper(1e-2, step)}
	out, err := t.program.Run(ctx, feeds)
	if err != nil {
		return 0, err
	}
	return out[0].Float32s()[0], nil
}

// Example builds, differentiates, compiles and trains a small network for 50 steps. TestExampleEqualsPyTorch compares
// all losses with PyTorch's.
func Example() {
	d, err := catalog.Open("auto", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := newTrainer(d)
	if err != nil {
		fmt.Println(err)
		return
	}
	for step := 1; step <= 50; step++ {
		loss, err := t.step(context.Background(), step)
		if err != nil {
			fmt.Println(err)
			return
		}
		if step == 1 || step%25 == 0 {
			fmt.Printf("step %d: loss %.3f\n", step, loss)
		}
	}
	if err := t.program.Close(); err != nil {
		fmt.Println(err)
	}
	if err := d.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// step 1: loss 0.938
	// step 25: loss 0.109
	// step 50: loss 0.031
}

// reference is what testdata/example/gen_example.py of the repository wrote.
var reference = func() (r struct {
	Tensors []struct {
		Name        string
		Shape       []int
		Offset      uint64
		Base, Scale float32
	}
	Losses []float64
	Rtol   float64
},
) {
	text, err := os.ReadFile("testdata/example.json")
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		panic(err)
	}
	return r
}()

// initial is a tensor of the example's start, from the formula that the generator documents.
func initial(name string) *tensor.Dense {
	for _, t := range reference.Tensors {
		if t.Name != name {
			continue
		}
		x := make([]float32, op.Size(t.Shape))
		for i := range x {
			z := t.Offset + uint64(i) + 0x9E3779B97F4A7C15
			z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
			z = (z ^ z>>27) * 0x94D049BB133111EB
			x[i] = t.Base + t.Scale*(float32((z^z>>31)>>40)/(1<<24)-0.5)
		}
		return tensor.New(tensor.WithShape(t.Shape...), tensor.WithBacking(x))
	}
	panic("no tensor " + name)
}

func TestExampleEqualsPyTorch(t *testing.T) {
	for _, name := range catalog.Names() {
		t.Run(name, func(t *testing.T) {
			d := open(t, name)
			trainer, err := newTrainer(d)
			if err != nil {
				t.Fatal(err)
			}
			defer trainer.program.Close()
			worst := 0.0
			for i, want := range reference.Losses {
				got, err := trainer.step(t.Context(), i+1)
				if err != nil {
					t.Fatal(err)
				}
				off := math.Abs(float64(got)-want) / want
				worst = max(worst, off)
				if !(off <= 1e-4) {
					t.Fatalf("step %d: loss %.9g, PyTorch %.9g", i+1, got, want)
				}
			}
			t.Logf("largest relative difference of %d losses: %.2g", len(reference.Losses), worst)
		})
	}
}

// open returns a device that is closed when the test ends.
func open(t testing.TB, name string) device.Device {
	d, err := catalog.Open(name, 0)
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
