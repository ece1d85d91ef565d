package graph_test

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vm"
)

// fitSine trains a perceptron with one hidden layer on y = sin 3x, −1 ≤ x < 1, and returns the last loss.
func fitSine(ctx context.Context, steps int) (loss float32, err error) {
	// The network: parameters get their names from the scope, and the first error stays in it.
	s := op.NewScope("sine")
	x, y := s.Input("x", 128, 1), s.Input("y", 128, 1) // [batch, channels]
	h := op.SiLU.Apply(s, nn.Linear(s.Sub("hidden"), x, nn.LinearConfig{Out: 32}))
	out := nn.Linear(s.Sub("out"), h, nn.LinearConfig{Out: 1})
	mse := op.MSE{}.Apply(s, out, y, nil)
	if err := s.Err(); err != nil {
		return 0, err
	}

	// Parameters have a value before the program is compiled, and are updated in place.
	params, draws := s.Params(), rng.NewTorch(1)
	for _, p := range params {
		values := make([]float32, op.Size(p.Shape()))
		draws.Uniform(values, -1, 1)
		if err := gorgonia.Let(p, tensor.New(tensor.WithShape(p.Shape()...), tensor.WithBacking(values))); err != nil {
			return 0, err
		}
	}

	// Gradients and the optimiser are part of the graph; one program computes a step.
	adamw := graph.NewAdamW(s)
	updates, err := adamw.Minimize(mse, params...)
	if err != nil {
		return 0, err
	}
	d, err := catalog.Open("auto", 0) // the fastest device of the processor, on every core
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	program, err := vm.Compile(append(gorgonia.Nodes{mse}, updates...), vm.Options{Device: d})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, program.Close()) }()

	xs, ys := make([]float32, 128), make([]float32, 128)
	for i := range xs {
		xs[i] = float32(i)/64 - 1
		ys[i] = float32(math.Sin(3 * float64(xs[i])))
	}
	feeds := vm.Feeds{
		x: tensor.New(tensor.WithShape(128, 1), tensor.WithBacking(xs)),
		y: tensor.New(tensor.WithShape(128, 1), tensor.WithBacking(ys)),
	}
	config := op.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
	for step := 1; step <= steps; step++ {
		feeds[adamw.Hyper] = config.Hyper(1e-2, step) // the learning rate is an input
		results, err := program.Run(ctx, feeds)
		if err != nil {
			return 0, err
		}
		loss = results[0].Float32s()[0]
	}
	return loss, nil
}

func ExampleAdamW() {
	first, err := fitSine(context.Background(), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	last, err := fitSine(context.Background(), 500)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(first > 0.1, last < 0.01)
	// Output: true true
}
