package train

import (
	"errors"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/networktest"
)

func TestBuckets(t *testing.T) {
	sizes := []int64{10, 40, 5, 5, 100, 1}
	for bytes, want := range map[int64][][]int{
		0:    {{5, 4, 3, 2, 1, 0}},
		50:   {{5, 4}, {3, 2, 1}, {0}},
		1:    {{5}, {4}, {3}, {2}, {1}, {0}},
		1000: {{5, 4, 3, 2, 1, 0}},
	} {
		if got := bucketsOf(sizes, bytes); !reflect.DeepEqual(got, want) {
			t.Errorf("buckets of %d bytes: %v, want %v", bytes, got, want)
		}
	}
	if got := bucketsOf(nil, 50); len(got) != 0 {
		t.Errorf("buckets of nothing: %v", got)
	}
}

// TestBucketsOfStableDiffusion is the trace of a step of its U-Net: when the gradients' buckets are ready. It logs the
// figures of docs/scaling.md, whose model takes the gradients to become ready evenly over the backward pass.
func TestBucketsOfStableDiffusion(t *testing.T) {
	if os.Getenv("HISTDIST_FULL") == "" {
		t.Skip("takes 10 GB of memory and a minute: run make test-full")
	}
	n, err := unet.Build(unet.SD15(), unet.Size{Batch: 1, Height: 32, Width: 32, Tokens: 197})
	if err != nil {
		t.Fatal(err)
	}
	params := n.Scope.Params()
	memory, err := formula.Weights{Gain: 1}.Bind(params)
	if err != nil {
		t.Fatal(err)
	}
	d := networktest.Open(t, "cpu")
	var values []*device.Value
	t.Cleanup(func() {
		for _, v := range values {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	loss := op.MSE{}.Apply(n.Scope, n.Output, n.Scope.Input("target", n.Output.Shape()...), nil)
	grads, err := graph.Gradients(loss, params...)
	if err != nil {
		t.Fatal(err)
	}
	keep := n.Scope.Input("keep", 1)
	outputs, sizes := gorgonia.Nodes{loss}, []int64{}
	for i, p := range params {
		sum := n.Scope.Sub("gradient").Input(p.Name(), p.Shape()...)
		v, err := device.NewValue(d, p.Shape()...)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
		if err := gorgonia.Let(sum, v); err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, op.Accumulate{}.Apply(n.Scope, sum, grads[i], keep))
		sizes = append(sizes, 4*int64(op.Size(p.Shape())))
	}
	if err := n.Scope.Err(); err != nil {
		t.Fatal(err)
	}
	buckets := bucketsOf(sizes, 25e6)
	milestones := []gorgonia.Nodes{{loss}}
	for _, bucket := range buckets {
		var nodes gorgonia.Nodes
		for _, i := range bucket {
			nodes = append(nodes, outputs[1+i])
		}
		milestones = append(milestones, nodes)
	}
	p, err := vm.Compile(outputs, vm.Options{Device: d, Vary: params, Milestones: milestones})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	feeds := vm.Feeds{}
	for _, in := range p.Inputs() {
		x := formula.Tensor(0, in.Name(), op.Size(in.Shape()), 1, 0)
		feeds[in] = tensor.New(tensor.WithShape(in.Shape()...), tensor.WithBacking(x))
	}
	at := make([]time.Duration, len(milestones))
	var took time.Duration
	for range 2 { // the first run touches memory for the first time
		begin := time.Now()
		_, err := p.RunPast(t.Context(), feeds, func(m int) error { at[m] = time.Since(begin); return nil })
		if err != nil {
			t.Fatal(err)
		}
		took = time.Since(begin)
	}
	backward := (took - at[0]).Seconds()
	t.Logf("%d buckets; the backward pass is %.0f %% of %.2f s", len(buckets), 100*backward/took.Seconds(), took.Seconds())
	ready, all := int64(0), int64(0)
	for _, size := range sizes {
		all += size
	}
	quarter := 1
	for i, bucket := range buckets {
		for _, k := range bucket {
			ready += sizes[k]
		}
		if now := (at[i+1] - at[0]).Seconds() / backward; 4*ready >= int64(quarter)*all {
			t.Logf("%3.0f %% of the gradients are ready after %3.0f %% of the backward pass",
				100*float64(ready)/float64(all), 100*now)
			quarter = int(4*ready/all) + 1
		}
	}
	if at[len(at)/2] >= at[len(at)-1] {
		t.Error("all buckets are ready at the same time")
	}
}

// TestGatheringFails: one device's error ends the wait of the others, and is the only one.
func TestGatheringFails(t *testing.T) {
	wrong := errors.New("wrong")
	for name, sums := range map[string]error{"a device": nil, "the sum": wrong} {
		g := &gathering{move: func([]device.Parts) error { return sums }, members: 2, buckets: make([][]device.Parts, 3)}
		g.turn = sync.NewCond(&g.mu)
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				member := &Trainer{pending: 1}
				err := g.reached(member)(0)
				if i == 1 && err == nil {
					err = wrong
				}
				errs[i] = g.finish(member, err)
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err == nil || err.Error() != wrong.Error() {
			t.Errorf("%s fails: errors %v, want %v once", name, errs, wrong)
		}
	}
}
