package train

import (
	"context"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
)

// Sample is what a U-Net sees of an example, [N,H,W,2C]: noisy latents, condition.
func (c Config) Sample(s *schedule.Schedule, e Example, d Draws) ([]float32, error) {
	x, err := c.diffuse(s, e, d)
	return x.sample, err
}

// TextureDistance is the distance of images [N,H,W,3] from true ones, and its gradient.
func TextureDistance(
	ctx context.Context, o vm.Options, shape [4]int, made, truth []float32,
) (distance, dx []float32, err error) {
	x := newTexture(func() vm.Options { return o })
	s := op.NewScope("test")
	image, weights := s.Param("image", shape[:]...), s.Input("weights", shape[0])
	term := x.term(s, image, weights, size{batch: shape[0], height: shape[1], width: shape[2]})
	if err := s.Err(); err != nil {
		return nil, nil, err
	}
	if err := gorgonia.Let(image, tensor.New(tensor.WithShape(shape[:]...), tensor.WithBacking(made))); err != nil {
		return nil, nil, err
	}
	gradient, err := graph.Gradients(term.distance, image)
	if err != nil {
		return nil, nil, err
	}
	p, err := vm.Compile(gorgonia.Nodes{term.distance, gradient[0]}, o)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	ones := make([]float32, shape[0])
	for i := range ones {
		ones[i] = 1
	}
	f := vm.Feeds{}.Set(weights, ones)
	if err := term.feed(ctx, f, truth); err != nil {
		return nil, nil, err
	}
	out, err := p.Run(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	distance, dx = append([]float32(nil), out[0].Float32s()...), append([]float32(nil), out[1].Float32s()...)
	for _, p := range x.programs() {
		err = p.Close()
	}
	return distance, dx, err
}
