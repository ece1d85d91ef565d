package vae

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
)

// eps is the epsilon of every norm of the autoencoder.
const eps = 1e-6

// Size is the size that a graph is built for.
type Size struct {
	Batch         int
	Height, Width int // of the encoder's image in pixels, of the decoder's latents
}

// Encoder is the encoding half as a graph. Its Scope has no parameters of the decoder.
type Encoder struct {
	Scope   *op.Scope
	Image   *gorgonia.Node // [N,H,W,in_channels] in [−1,1]
	Moments *gorgonia.Node // [N,H/8,W/8,2·latent_channels]: the posterior's means, then the logarithms of its variances
	Mode    *gorgonia.Node // [N,H/8,W/8,latent_channels], the means, not multiplied by scaling_factor
}

// NewEncoder makes the graph of the encoder.
func NewEncoder(c Config, size Size) (*Encoder, error) {
	if err := check(c); err != nil {
		return nil, err
	}
	if f := c.Factor(); size.Height < f || size.Width < f {
		return nil, fmt.Errorf("vae: image of %d×%d pixels: want at least %d×%d", size.Height, size.Width, f, f)
	}
	root := op.NewScope("vae")
	e := &Encoder{Scope: root, Image: root.Input("image", size.Batch, size.Height, size.Width, c.InChannels)}
	e.Moments = Encode(root, e.Image, c)
	e.Mode = op.Slice{Axis: 3, Offset: 0, Length: c.LatentChannels}.Apply(root, e.Moments)
	return e, root.Err()
}

// Encode is AutoencoderKL.encode: image [N,H,W,in_channels] → moments [N,h,w,2·latent_channels].
func Encode(root *op.Scope, image *gorgonia.Node, c Config) *gorgonia.Node {
	s, channels := root.Sub("encoder"), c.BlockOutChannels
	h := nn.Conv3x3(s.Sub("conv_in"), image, channels[0])
	for i, ch := range channels {
		b := s.Index("down_blocks", i)
		for j := range c.LayersPerBlock {
			h = c.resnet(b, j, h, ch)
		}
		if i < len(channels)-1 {
			h = nn.DownsampleRight(b.Sub("downsamplers.0"), h)
		}
		b.Mark(h)
	}
	h = c.mid(s.Sub("mid_block"), h, channels[len(channels)-1])
	h = nn.GroupNormSiLU(s.Sub("conv_norm_out"), h, c.norm())
	h = nn.Conv3x3(s.Sub("conv_out"), h, 2*c.LatentChannels)
	if c.UseQuantConv {
		h = nn.Conv1x1(root.Sub("quant_conv"), h, 2*c.LatentChannels)
	}
	return h
}

// Decoder is the decoding half as a graph. Its Scope has no parameters of the encoder.
type Decoder struct {
	Scope   *op.Scope
	Latents *gorgonia.Node // [N,h,w,latent_channels], divided by scaling_factor
	Image   *gorgonia.Node // [N,8h,8w,out_channels], about [−1,1], not clipped
}

// NewDecoder makes the graph of the decoder.
func NewDecoder(c Config, size Size) (*Decoder, error) {
	if err := check(c); err != nil {
		return nil, err
	}
	root := op.NewScope("vae")
	d := &Decoder{Scope: root, Latents: root.Input("latents", size.Batch, size.Height, size.Width, c.LatentChannels)}
	d.Image = Decode(root, d.Latents, c)
	return d, root.Err()
}

// Decode is AutoencoderKL.decode: latents [N,h,w,latent_channels] → image [N,8h,8w,out_channels].
func Decode(root *op.Scope, latents *gorgonia.Node, c Config) *gorgonia.Node {
	s, channels := root.Sub("decoder"), c.BlockOutChannels
	top := len(channels) - 1
	h := latents
	if c.UsePostQuantConv {
		h = nn.Conv1x1(root.Sub("post_quant_conv"), h, c.LatentChannels)
	}
	h = nn.Conv3x3(s.Sub("conv_in"), h, channels[top])
	h = c.mid(s.Sub("mid_block"), h, channels[top])
	for i := range channels {
		b := s.Index("up_blocks", i)
		for j := range c.LayersPerBlock + 1 {
			h = c.resnet(b, j, h, channels[top-i])
		}
		if i < top {
			_, height, width, _ := op.NHWC(h)
			h = nn.Upsample(b.Sub("upsamplers.0"), h, 2*height, 2*width)
		}
		b.Mark(h)
	}
	h = nn.GroupNormSiLU(s.Sub("conv_norm_out"), h, c.norm())
	return nn.Conv3x3(s.Sub("conv_out"), h, c.OutChannels)
}

func check(c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("vae: %w", err)
	}
	return nil
}

func (c Config) resnet(s *op.Scope, j int, h *gorgonia.Node, out int) *gorgonia.Node {
	return nn.Resnet(s.Index("resnets", j).Segment(), h, nil, nn.ResnetConfig{Out: out, Norm: c.norm()})
}

// mid is a UNetMidBlock2D: resnet, attention over the pixels, resnet.
func (c Config) mid(s *op.Scope, h *gorgonia.Node, channels int) *gorgonia.Node {
	h = c.resnet(s, 0, h, channels)
	if c.MidBlockAddAttention {
		h = nn.ImageAttention(s.Sub("attentions.0").Segment(), h, c.norm())
	}
	return s.Mark(c.resnet(s, 1, h, channels))
}

func (c Config) norm() nn.NormConfig { return nn.NormConfig{Groups: c.NormNumGroups, Eps: eps} }
