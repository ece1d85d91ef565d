// Package encoders compiles the networks that turn images and text into numbers and back, for training, translation and
// evaluation:
//
//	image  [N,H,W,3]  ─ VAEEncoder ─▶ moments [N,h,w,2C]      latents [N,h,w,C] ─ VAEDecoder ─▶ image [N,H,W,3]
//	pixels [N,S,S,3]  ─ ViT ────────▶ states [N,tokens,width]
//	prompt            ─ Text ───────▶ states [tokens,width]
//
// Compile does the same for any other graph of one input and one output.
package encoders

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/vm"
)

// Network is a compiled network with one input and one output. It is used by one goroutine at a time.
type Network struct {
	*vm.Program
	input *gorgonia.Node
}

// Compile compiles the network between two nodes, whose parameters have their weights.
func Compile(in, out *gorgonia.Node, o vm.Options) (*Network, error) {
	p, err := vm.Compile(gorgonia.Nodes{out}, o)
	if err != nil {
		return nil, err
	}
	return &Network{p, in}, nil
}

// Run returns the output for an input of the input node's shape. Values are not checked: see package finite.
func (n *Network) Run(ctx context.Context, x []float32) ([]float32, error) {
	out, err := n.Program.Run(ctx, vm.Feeds{}.Set(n.input, x))
	if err != nil {
		return nil, err
	}
	return slices.Clone(out[0].Float32s()), nil
}

// VAEEncoder is the autoencoder's encoder: image [N,H,W,3] in [−1,1] → moments [N,h,w,2C], see vae.Moments.
func VAEEncoder(m *model.Model, z vae.Size, o vm.Options) (*Network, error) {
	n, err := vae.NewEncoder(m.VAE, z)
	if err == nil {
		err = m.BindEncoder(n.Scope.Params())
	}
	if err != nil {
		return nil, err
	}
	return Compile(n.Image, n.Moments, o)
}

// VAEDecoder is the autoencoder's decoder: latents [N,h,w,C] ÷ scaling_factor → image [N,H,W,3] in about [−1,1]. z is
// the size of the latents.
func VAEDecoder(m *model.Model, z vae.Size, o vm.Options) (*Network, error) {
	n, err := vae.NewDecoder(m.VAE, z)
	if err == nil {
		err = m.BindDecoder(n.Scope.Params())
	}
	if err != nil {
		return nil, err
	}
	return Compile(n.Latents, n.Image, o)
}

// ViT is the vision transformer: preprocessed pixels [N,S,S,3] → last hidden states [N,tokens,width].
func ViT(m *model.Model, batch int, o vm.Options) (*Network, error) {
	n, err := vit.Build(m.ViT, batch)
	if err == nil {
		err = m.BindViT(n.Scope.Params())
	}
	if err != nil {
		return nil, err
	}
	return Compile(n.Pixels, n.LastHiddenState, o)
}

// Text returns the text encoder's last hidden states of a prompt, [tokens,width]. The memory of its weights is
// released.
func Text(ctx context.Context, m *model.Model, prompt string, o vm.Options) (states []float32, err error) {
	tokens := m.Text.MaxPositionEmbeddings
	ids := m.Tokenizer.Encode(prompt)
	if len(ids) != tokens {
		return nil, fmt.Errorf("the tokenizer gives %d ids, the text encoder takes %d", len(ids), tokens)
	}
	n, err := clip.Build(m.Text, 1, tokens)
	if err == nil {
		err = m.BindText(n.Scope.Params())
	}
	if err != nil {
		return nil, err
	}
	o.LowMemory = true // it runs once: packing its weights would take longer
	e, err := Compile(n.IDs, n.LastHiddenState, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close(), m.Release(n.Scope.Params())) }()
	out, err := e.Program.Run(ctx, vm.Feeds{n.IDs: tensor.New(tensor.WithShape(1, tokens), tensor.WithBacking(ids))})
	if err != nil {
		return nil, err
	}
	return slices.Clone(out[0].Float32s()), nil
}
