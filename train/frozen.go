package train

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/model/encoders"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/finite"
)

// Batch are the images of a micro-step: H&E and IHC of the same tissue, RGB bytes [N,Height,Width,3].
type Batch struct {
	N, Height, Width int
	HE, IHC          []uint8
	Names            []string // for errors; may be nil
	Labels           []int    // [N] of the IHC, for a U-Net with class labels: see model.Purpose; else nil
}

// name is a pair's name in errors.
func (p Batch) name(i int) string {
	if i < len(p.Names) {
		return p.Names[i]
	}
	return fmt.Sprintf("pair %d", i)
}

func (p Batch) check() error {
	size := p.Height * p.Width * 3
	if p.N < 1 || size < 1 || len(p.HE) != p.N*size || len(p.IHC) != p.N*size {
		return fmt.Errorf("pairs of %d and %d bytes: want %d of %d×%d pixels", len(p.HE), len(p.IHC), p.N, p.Height, p.Width)
	}
	return nil
}

// BatchSource provides a run's images.
type BatchSource interface {
	// Len is the number of micro-steps in an epoch.
	Len() int
	// Batch returns the images of a position. They depend on nothing else.
	Batch(ctx context.Context, at Position) (Batch, error)
}

// Sizer is a BatchSource that knows the sizes of its images before it reads them.
type Sizer interface {
	// Size is the number of pairs at a position, and the height and width of their images.
	Size(at Position) (n, height, width int)
}

// FrozenOptions say how the networks that aren't trained run.
type FrozenOptions struct {
	vm.Options        // how they are compiled
	Prompt     string // of the H&E; "H&E" in the paper
	Images     bool   // examples of translations also have the IHC images
	// CacheBytes limits a cache of results by image. It helps if images recur unchanged, without random crops and flips.
	CacheBytes int64
}

// Frozen turns images into examples with the networks that aren't trained: the autoencoder's encoder, the vision
// transformer and the text encoder. It is used by one goroutine at a time.
type Frozen struct {
	model   *model.Model
	options FrozenOptions
	text    []float32                    // [tokens,cross_attention_dim]
	vit     *encoders.Network            // compiled when it is needed
	encoder map[[2]int]*encoders.Network // by height and width
	cache   map[[sha256.Size]byte]seen   // by the image's size and bytes
	held    int64
}

// seen holds the networks' results for an image; nil is not computed.
type seen struct {
	moments []float32 // [h,w,2C]
	states  []float32 // [tokens,cross_attention_dim]
}

// NewFrozen computes the prompt's states with the text encoder of a model, which stays the caller's.
func NewFrozen(ctx context.Context, m *model.Model, o FrozenOptions) (*Frozen, error) {
	f := &Frozen{model: m, options: o, encoder: map[[2]int]*encoders.Network{}, cache: map[[sha256.Size]byte]seen{}}
	var err error
	if f.text, err = encoders.Text(ctx, m, o.Prompt, o.Options); err == nil {
		err = finite.Check("output", f.text, finite.Squares)
	}
	if err != nil {
		return nil, fmt.Errorf("text encoder: %w", err)
	}
	return f, nil
}

// Close frees the programs' memory.
func (f *Frozen) Close() error {
	var errs []error
	if f.vit != nil {
		errs = append(errs, f.vit.Close())
	}
	for _, e := range f.encoder {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}

// Memory is the number of bytes that the networks hold on the device.
func (f *Frozen) Memory() int64 {
	bytes := int64(0)
	add := func(p *encoders.Network) {
		m := p.Report().Memory
		bytes += m.Arena + m.Packed + m.Copies
	}
	if f.vit != nil {
		add(f.vit)
	}
	for _, e := range f.encoder {
		add(e)
	}
	return bytes
}

// Over makes a run's examples of images.
func (f *Frozen) Over(s BatchSource) Examples { return encoded{f, s} }

type encoded struct {
	*Frozen
	BatchSource
}

// Example encodes the images of a position.
func (e encoded) Example(ctx context.Context, at Position, task Task, noise *rng.Torch) (Example, error) {
	p, err := e.Batch(ctx, at)
	if err != nil {
		return Example{}, err
	}
	return e.Encode(ctx, p, task, noise)
}

// Skip draws what Encode would.
func (e encoded) Skip(ctx context.Context, at Position, task Task, noise *rng.Torch) (Example, error) {
	s, ok := e.BatchSource.(Sizer)
	if !ok {
		return e.Example(ctx, at, task, noise)
	}
	n, height, width := s.Size(at)
	shape := e.shape(n, height, width)
	noise.SkipRandn(elements(shape))
	return Example{Shape: shape}, nil
}

// shape is that of the latents of images.
func (f *Frozen) shape(n, height, width int) [4]int {
	k := f.model.VAE.Factor()
	return [4]int{n, height / k, width / k, f.model.VAE.LatentChannels}
}

func elements(shape [4]int) int { return shape[0] * shape[1] * shape[2] * shape[3] }

// Encode makes an example of images. noise draws the target's latents first of all, as training.py does.
func (f *Frozen) Encode(ctx context.Context, p Batch, task Task, noise *rng.Torch) (Example, error) {
	if err := p.check(); err != nil {
		return Example{}, err
	}
	size := p.Height * p.Width * 3
	if k := f.model.VAE.Factor(); p.Height%k != 0 || p.Width%k != 0 {
		return Example{}, fmt.Errorf("images of %d×%d pixels: want multiples of %d", p.Height, p.Width, k)
	}
	target, labels := p.HE, p.Labels
	if labels != nil {
		labels = slices.Repeat([]int{model.LabelHE}, p.N)
	}
	if task == Translation {
		target, labels = p.IHC, p.Labels
	}
	c := f.model.VAE.LatentChannels
	e := Example{Shape: f.shape(p.N, p.Height, p.Width), Labels: labels}
	draws := make([]float32, elements(e.Shape))
	if err := noise.RandnNHWC(draws, e.Shape[0], e.Shape[1], e.Shape[2], c); err != nil {
		return e, err
	}
	scale := float32(f.model.VAE.ScalingFactor)
	if f.options.Images && task == Translation {
		e.Images = vae.Signed(p.IHC)
	}
	for i := range p.N {
		moments, err := f.moments(ctx, target[i*size:(i+1)*size], p.Height, p.Width)
		if err != nil {
			return e, fmt.Errorf("%s: autoencoder: %w", p.name(i), err)
		}
		mean, _, deviation := vae.Moments(moments, c)
		for j, m := range mean {
			e.Latents = append(e.Latents, (m+float32(deviation[j]*draws[len(e.Latents)]))*scale)
		}
		if task == Generation {
			e.Context = append(e.Context, f.text...)
			continue
		}
		he := p.HE[i*size : (i+1)*size]
		if moments, err = f.moments(ctx, he, p.Height, p.Width); err != nil {
			return e, fmt.Errorf("%s: autoencoder: %w", p.name(i), err)
		}
		mode, _, _ := vae.Moments(moments, c)
		e.Condition = append(e.Condition, mode...)
		states, err := f.states(ctx, he, p.Height, p.Width)
		if err != nil {
			return e, fmt.Errorf("%s: vision transformer: %w", p.name(i), err)
		}
		e.Context = append(e.Context, states...)
	}
	return e, nil
}

// moments are the encoder's of an image [h,w,2C], from the cache if it has them.
func (f *Frozen) moments(ctx context.Context, rgb []uint8, height, width int) ([]float32, error) {
	key := imageKey(rgb, height, width)
	s := f.cache[key]
	if s.moments != nil {
		return s.moments, nil
	}
	size := [2]int{height, width}
	e := f.encoder[size]
	if e == nil {
		var err error
		z := vae.Size{Batch: 1, Height: height, Width: width}
		if e, err = encoders.VAEEncoder(f.model, z, f.options.Options); err != nil {
			return nil, err
		}
		f.encoder[size] = e
	}
	moments, err := encode(ctx, e, vae.Signed(rgb))
	if err == nil && f.room(moments) {
		s.moments = moments
		f.cache[key] = s
	}
	return moments, err
}

// states are the vision transformer's of an image [tokens,width], from the cache if it has them.
func (f *Frozen) states(ctx context.Context, rgb []uint8, height, width int) ([]float32, error) {
	key := imageKey(rgb, height, width)
	s := f.cache[key]
	if s.states != nil {
		return s.states, nil
	}
	if f.vit == nil {
		var err error
		if f.vit, err = encoders.ViT(f.model, 1, f.options.Options); err != nil {
			return nil, err
		}
	}
	x, err := f.model.Preprocessor.PreprocessTraining(rgb, width, height)
	if err != nil {
		return nil, err
	}
	states, err := encode(ctx, f.vit, x)
	if err == nil && f.room(states) {
		s.states = states
		f.cache[key] = s
	}
	return states, err
}

// encode returns what a network makes of x, if it is finite.
func encode(ctx context.Context, e *encoders.Network, x []float32) ([]float32, error) {
	values, err := e.Run(ctx, x)
	if err != nil {
		return nil, err
	}
	return values, finite.Check("output", values, finite.Squares)
}

func imageKey(rgb []uint8, height, width int) [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(slices.Clone(rgb), "%d×%d", height, width))
}

// room reports whether the cache has room for values, and reserves it. Nothing is evicted, so once full the cache stays
// as it is.
func (f *Frozen) room(values []float32) bool {
	bytes := int64(len(values)) * 4
	if f.held+bytes > f.options.CacheBytes {
		return false
	}
	f.held += bytes
	return true
}
