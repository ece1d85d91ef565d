package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/model/encoders"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/finite"
)

// size is the size that programs are compiled for, in padded pixels.
type size struct{ batch, height, width int }

// programs are the networks for images of one size.
type programs struct {
	size                      size
	encoder, vit, decoder     *encoders.Network
	inversion, translation    *denoiser
	latentH, latentW, latentC int
}

// denoiser is a compiled U-Net.
type denoiser struct {
	*vm.Program
	*unet.Network
	config unet.Config
}

// feedLabel feeds a network that takes class labels with one for all images.
func (d *denoiser) feedLabel(feeds vm.Feeds, label int) error {
	if d.Classes == nil {
		return nil
	}
	classes, err := d.config.OneHot(slices.Repeat([]int{label}, d.Classes.Shape()[0]))
	feeds.Set(d.Classes, classes)
	return err
}

// compile compiles all networks for a size, so that an image that does not fit in memory is refused at once. Without
// inversion its U-Net is left out.
func (p *Pipeline) compile(z size, inverts bool) (_ *programs, err error) {
	f := p.model.VAE.Factor()
	s := &programs{size: z, latentH: z.height / f, latentW: z.width / f, latentC: p.model.VAE.LatentChannels}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	pixels := vae.Size{Batch: z.batch, Height: z.height, Width: z.width}
	latents := vae.Size{Batch: z.batch, Height: s.latentH, Width: s.latentW}
	if s.encoder, err = encoders.VAEEncoder(p.model, pixels, p.vm); err != nil {
		return nil, fmt.Errorf("%s: %w", encoderNet, err)
	}
	if s.vit, err = encoders.ViT(p.model, z.batch, p.vm); err != nil {
		return nil, fmt.Errorf("%s: %w", vitNet, err)
	}
	if inverts {
		if s.inversion, err = p.denoiser(latents, p.model.Text.MaxPositionEmbeddings); err != nil {
			return nil, fmt.Errorf("%s: %w", unetNet, err)
		}
	}
	if s.translation, err = p.denoiser(latents, p.model.ViT.Tokens()); err != nil {
		return nil, fmt.Errorf("%s: %w", unetNet, err)
	}
	if s.decoder, err = encoders.VAEDecoder(p.model, latents, p.vm); err != nil {
		return nil, fmt.Errorf("%s: %w", decoderNet, err)
	}
	return s, nil
}

func (p *Pipeline) denoiser(z vae.Size, tokens int) (*denoiser, error) {
	n, err := unet.Build(p.model.UNet, unet.Size{Batch: z.Batch, Height: z.Height, Width: z.Width, Tokens: tokens})
	if err == nil {
		err = p.options.UNet(n.Scope.Params())
	}
	if err != nil {
		return nil, err
	}
	o := p.vm
	// The context is the same in all steps of a loop, and every image sees the same timesteps.
	o.Invariant = gorgonia.Nodes{n.Context, n.Timesteps}
	compiled, err := vm.Compile(gorgonia.Nodes{n.Output}, o)
	return &denoiser{compiled, n, p.model.UNet}, err
}

// close frees the programs' memory.
func (s *programs) close() error {
	var errs []error
	for _, e := range []*encoders.Network{s.encoder, s.vit, s.decoder} {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	for _, d := range []*denoiser{s.inversion, s.translation} {
		if d != nil && d.Program != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// textStates are CLIP's hidden states of a prompt, [77,768].
func (p *Pipeline) textStates(ctx context.Context, prompt string) ([]float32, error) {
	if states, ok := p.texts[prompt]; ok {
		return states, nil
	}
	states, err := encoders.Text(ctx, p.model, prompt, p.vm)
	if err == nil {
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
