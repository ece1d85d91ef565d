package bench

import (
	"errors"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
)

// networkProgram is one of Stable Diffusion 1.5's networks or Phikon, for images of 512 pixels, or a training step of
// the U-Net at 32×32 latents, batch 1: forward and backward with gradient checkpointing, clipping and AdamW.
func networkProgram(name string, batch int) ([]program, error) {
	if name == trainingNetwork {
		batch = 1
	}
	s, out, err := build(name, batch)
	p := program{Scope: s, name: name, batch: batch, outputs: gorgonia.Nodes{out}}
	if err == nil && name == trainingNetwork {
		err = p.train()
	}
	return []program{p}, err
}

// build makes the graph of a network. Its configuration is valid, so there is a graph even with an error.
func build(name string, batch int) (*op.Scope, *gorgonia.Node, error) {
	side := 64
	switch name {
	case "vae-encode":
		n, err := vae.NewEncoder(vae.SD15(), vae.Size{Batch: batch, Height: 512, Width: 512})
		return n.Scope, n.Moments, err
	case "vae-decode":
		n, err := vae.NewDecoder(vae.SD15(), vae.Size{Batch: batch, Height: side, Width: side})
		return n.Scope, n.Image, err
	case "vit":
		n, err := vit.Build(vit.Phikon(), batch)
		return n.Scope, n.LastHiddenState, err
	case "text":
		n, err := clip.Build(clip.SD15(), batch, 77)
		return n.Scope, n.LastHiddenState, err
	case trainingNetwork:
		side = 32
	}
	n, err := unet.Build(unet.SD15(), unet.Size{Batch: batch, Height: side, Width: side, Tokens: 197})
	return n.Scope, n.Output, err
}

// train makes a training step of a network: the loss, its gradients, clipping and AdamW.
func (p *program) train() error {
	out, params := p.outputs[0], p.Params()
	loss := op.MSE{}.Apply(p.Scope, out, p.Input("target", out.Shape()...), nil)
	grads, err := graph.Gradients(loss, params...)
	if err != nil {
		return errors.Join(p.Err(), err)
	}
	adamw := graph.NewAdamW(p.Scope)
	adamw.Scale = op.ClipScale{Max: 1}.Apply(p.Scope, op.GlobalNorm{}.Apply(p.Scope, grads...))
	p.outputs, p.updates = gorgonia.Nodes{loss}, true
	for i, n := range params {
		p.outputs = append(p.outputs, adamw.Update(n, grads[i]))
	}
	return p.Err()
}
