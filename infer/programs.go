package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/finite"
)

// size is what programs are compiled for: pixels, padded.
type size struct{ batch, height, width int }

// program is a compiled network with one output.
type program struct {
	*vm.Program
}

// run computes the output and copies it.
func (p program) run(ctx context.Context, feeds vm.Feeds) ([]float32, error) {
	out, err := p.Run(ctx, feeds)
	if err != nil {
		return nil, err
	}
	return slices.Clone(out[0].Float32s()), nil
}

// programs are the networks for images of one size.
type programs struct {
	size                           size
	encoder, vit, decoder          program
	inversion, translation         program
	image, pixels, latents         *gorgonia.Node
	inversionNet, translationNet   *unet.Network
	latentH, latentW, latentC, tok int
}

// compile builds and compiles all networks for a size, so that an image that does not fit is refused before anything runs.
func (p *Pipeline) compile(z size) (_ *programs, err error) {
	f := p.model.VAE.Factor()
	s := &programs{size: z, latentH: z.height / f, latentW: z.width / f, latentC: p.model.VAE.LatentChannels, tok: p.model.ViT.Tokens()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	e, err := vae.NewEncoder(p.model.VAE, vae.Size{Batch: z.batch, Height: z.height, Width: z.width})
	if err == nil {
		s.image = e.Image
		s.encoder, err = p.program(e.Moments, e.Scope.Params(), p.model.BindEncoder, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", encoderNet, err)
	}
	v, err := vit.Build(p.model.ViT, z.batch)
	if err == nil {
		s.pixels = v.Pixels
		s.vit, err = p.program(v.LastHiddenState, v.Scope.Params(), p.model.BindViT, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vitNet, err)
	}
	if s.inversionNet, s.inversion, err = p.unet(s, p.model.Text.MaxPositionEmbeddings); err != nil {
		return nil, fmt.Errorf("%s: %w", unetNet, err)
	}
	if s.translationNet, s.translation, err = p.unet(s, s.tok); err != nil {
		return nil, fmt.Errorf("%s: %w", unetNet, err)
	}
	d, err := vae.NewDecoder(p.model.VAE, vae.Size{Batch: z.batch, Height: s.latentH, Width: s.latentW})
	if err == nil {
		s.latents = d.Latents
		s.decoder, err = p.program(d.Image, d.Scope.Params(), p.model.BindDecoder, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", decoderNet, err)
	}
	return s, nil
}

func (p *Pipeline) unet(s *programs, tokens int) (*unet.Network, program, error) {
	n, err := unet.Build(p.model.UNet, unet.Size{Batch: s.size.batch, Height: s.latentH, Width: s.latentW, Tokens: tokens})
	if err != nil {
		return nil, program{}, err
	}
	// The context is the same in all steps of a loop, and every image sees the same timesteps.
	compiled, err := p.program(n.Output, n.Scope.Params(), p.options.UNet, gorgonia.Nodes{n.Context, n.Timesteps})
	return n, compiled, err
}

// program gives a graph its weights and compiles it.
func (p *Pipeline) program(out *gorgonia.Node, params gorgonia.Nodes, bind func(gorgonia.Nodes) error, invariant gorgonia.Nodes) (program, error) {
	if err := bind(params); err != nil {
		return program{}, err
	}
	compiled, err := vm.Compile(gorgonia.Nodes{out}, vm.Options{
		Device: p.options.Device, Precision: p.options.Precision, LowMemory: p.options.LowMemory,
		MemoryLimit: p.options.MemoryLimit, Invariant: invariant,
	})
	return program{compiled}, err
}

// close gives the programs' memory back.
func (s *programs) close() error {
	var errs []error
	for _, p := range []program{s.encoder, s.vit, s.inversion, s.translation, s.decoder} {
		if p.Program != nil {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}

// textStates are CLIP's hidden states of a prompt, [77,768].
func (p *Pipeline) textStates(ctx context.Context, prompt string) ([]float32, error) {
	if states, ok := p.texts[prompt]; ok {
		return states, nil
	}
	tokens := p.model.Text.MaxPositionEmbeddings
	n, err := clip.Build(p.model.Text, 1, tokens)
	if err != nil {
		return nil, err
	}
	compiled, err := p.program(n.LastHiddenState, n.Scope.Params(), p.model.BindText, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", textNet, err)
	}
	ids := p.model.Tokenizer.Encode(prompt)
	if len(ids) != tokens {
		return nil, errors.Join(fmt.Errorf("tokenizer gives %d ids, the text encoder takes %d", len(ids), tokens), compiled.Close())
	}
	states, err := compiled.run(ctx, vm.Feeds{n.IDs: tensor.New(tensor.WithShape(1, tokens), tensor.WithBacking(ids))})
	if err = errors.Join(err, compiled.Close(), p.model.Release(n.Scope.Params())); err == nil {
		if err = finite.Check("hidden states", states, finite.Squares); err != nil {
			err = p.notFinite(0, err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", textNet, err)
	}
	p.texts[prompt] = states
	return states, nil
}

// dense wraps values as a tensor.
func dense(values []float32, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values))
}
