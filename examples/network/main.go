// Command network builds a small convolutional network and trains it to draw the edges of images.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
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

const (
	batch = 4
	side  = 16
	steps = 200
)

func main() {
	if err := train(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// network is two convolutions: x [N,H,W,1] → [N,H,W,1].
func network(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	h := op.SiLU.Apply(s, nn.Conv3x3(s.Sub("conv_in"), x, 8))
	return nn.Conv3x3(s.Sub("conv_out"), h, 1)
}

func train(ctx context.Context) (err error) {
	s := op.NewScope("edges")
	x, want := s.Input("x", batch, side, side, 1), s.Input("want", batch, side, side, 1)
	loss := op.MSE{}.Apply(s, network(s, x), want, nil)
	if err := s.Err(); err != nil { // the first error, with its place
		return err
	}
	draws := rng.NewTorch(1)
	params := s.Params()
	for _, p := range params {
		values := make([]float32, op.Size(p.Shape()))
		draws.Normal(values, 0, 0.2)
		if err := gorgonia.Let(p, dense(values, p.Shape()...)); err != nil {
			return err
		}
	}
	adamw := graph.NewAdamW(s)
	updates, err := adamw.Minimize(loss, params...)
	if err != nil {
		return err
	}

	d, err := catalog.Open("auto", 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	// One program computes the loss and updates the parameters.
	step, err := vm.Compile(append(gorgonia.Nodes{loss}, updates...), vm.Options{Device: d})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, step.Close()) }()
	config := op.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
	for i := 1; i <= steps; i++ {
		images, edges := examples(draws)
		out, err := step.Run(ctx, vm.Feeds{
			x: dense(images, batch, side, side, 1), want: dense(edges, batch, side, side, 1),
			adamw.Hyper: config.Hyper(1e-2, i),
		})
		if err != nil {
			return err
		}
		if i == 1 || i == steps {
			fmt.Printf("step %d: loss %.4f\n", i, out[0].Float32s()[0])
		}
	}
	return nil
}

// examples draws images of a dark disc each, and how much they change from left to right.
func examples(draws *rng.Torch) (images, edges []float32) {
	images, edges = make([]float32, batch*side*side), make([]float32, batch*side*side)
	places := make([]float32, 3*batch)
	draws.Uniform(places, 0, 1)
	for n := range batch {
		cx, cy, r := float64(side*places[3*n]), float64(side*places[3*n+1]), float64(2+4*places[3*n+2])
		for y := range side {
			for x := range side {
				i := (n*side+y)*side + x
				images[i] = float32(1 / (1 + math.Exp(r-math.Hypot(float64(x)-cx, float64(y)-cy))))
				if x > 0 {
					edges[i] = images[i] - images[i-1]
				}
			}
		}
	}
	return images, edges
}

func dense(values []float32, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values))
}
