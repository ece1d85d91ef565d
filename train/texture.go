package train

import (
	"context"
	"math"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// Texture compares images by the energies of filters in windows, as Gatys et al., "Texture Synthesis Using
// Convolutional Neural Networks" (2015), compare statistics of textures, but locally and with fixed filters: the eight
// 3×3 cosine functions (DCT-II) without the mean, of luma and of two differences of colours, at full and at half size.
//
//	image ─┬──────────── filters ─ square ─ mean of 16×16 ─ energies ─┐
//	       └─ halve ──── filters ─ square ─ mean of 8×8 ─── energies ─┴─ against those of the true image
//
// Squared errors prefer blur where detail can't be known. Energies say how much detail there is, not where in its
// window: blur lowers them, and misplaced detail costs nothing. The distance of energy E from the true one, T, is
// (E − T)²/4(T + ε), which near T is that of the roots, (√E − √T)².

const (
	textureWindow = 16   // pixels at full size; windows overlap by half
	textureLeast  = 8    // pixels of an image in each direction
	textureFloor  = 1e-4 // ε, the energy of an error of 1.3 grey levels of 255
)

// textureScales are the scales of an image: its own and half of it.
const textureScales = 2

// textureFilters is the filter bank as a convolution's weight [3,3,3,24]. All filters are orthonormal.
func textureFilters() []float32 {
	cosine := func(k, i int) float64 { // orthonormal DCT-II of length 3
		if k == 0 {
			return math.Sqrt(1. / 3)
		}
		return math.Sqrt(2./3) * math.Cos(math.Pi*float64(k)*(float64(i)+0.5)/3)
	}
	colours := [3][3]float64{
		{1 / math.Sqrt(3), 1 / math.Sqrt(3), 1 / math.Sqrt(3)},
		{1 / math.Sqrt(2), 0, -1 / math.Sqrt(2)},
		{1 / math.Sqrt(6), -2 / math.Sqrt(6), 1 / math.Sqrt(6)},
	}
	var w []float32
	for y := range 3 {
		for x := range 3 {
			for c := range 3 {
				for _, colour := range colours {
					for k := 1; k < 9; k++ { // 0 is the mean
						w = append(w, float32(colour[c]*cosine(k/3, y)*cosine(k%3, x)))
					}
				}
			}
		}
	}
	return w
}

// meanWeight is the weight [side,side,channels,channels] of a convolution that takes each channel's mean.
func meanWeight(side, channels int) []float32 {
	w := make([]float32, side*side*channels*channels)
	for i := range side * side {
		for c := range channels {
			w[(i*channels+c)*channels+c] = 1 / float32(side*side)
		}
	}
	return w
}

// constant is a leaf with a value.
func constant(s *op.Scope, name string, values []float32, shape ...int) *gorgonia.Node {
	n := s.Input(name, shape...)
	if n != nil {
		// Let fails for another shape or type alone.
		_ = gorgonia.Let(n, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(values)))
	}
	return n
}

// textureEnergies are an image's energies by scale: image [N,H,W,3] → [N,h,w,24]. H and W are at least textureLeast.
func textureEnergies(s *op.Scope, image *gorgonia.Node) gorgonia.Nodes {
	const channels = 24
	s = s.Sub("texture")
	filters := constant(s, "filters", textureFilters(), 3, 3, 3, channels)
	half := constant(s, "half", meanWeight(2, 3), 2, 2, 3, 3)
	var energies gorgonia.Nodes
	for scale := range textureScales {
		if scale > 0 {
			image = op.Conv2D{Geometry: op.Geometry{Stride: 2}}.Apply(s, image, half, nil, nil)
		}
		y := op.Conv2D{}.Apply(s, image, filters, nil, nil)
		if y == nil {
			return nil
		}
		_, h, w, _ := op.NHWC(y)
		side := min(textureWindow>>scale, h, w)
		mean := constant(s.Index("mean", scale), "weight", meanWeight(side, channels), side, side, channels, channels)
		g := op.Geometry{Stride: max(side/2, 1)}
		energies = append(energies, op.Conv2D{Geometry: g}.Apply(s, op.Mul{}.Apply(s, y, y), mean, nil, nil))
	}
	return energies
}

// texture compares images of a micro-step's graph with true ones.
type texture struct {
	options func() vm.Options // of the programs
	truths  map[size]*truth
}

// truth is the program that computes the energies of true images.
type truth struct {
	*vm.Program
	image *gorgonia.Node
}

func newTexture(options func() vm.Options) *texture { return &texture{options, map[size]*truth{}} }

// textureTerm is the distance of an image from a true one in a graph.
type textureTerm struct {
	distance *gorgonia.Node // scalar
	feed     func(ctx context.Context, f vm.Feeds, image []float32) error
}

// term adds the distance of an image [N,H,W,3] to a graph; weights [N] are those of the samples. feed adds what it
// needs of the true images [N,H,W,3].
func (x *texture) term(s *op.Scope, image, weights *gorgonia.Node, z size) textureTerm {
	energies := textureEnergies(s, image)
	var t textureTerm
	var targets, factors gorgonia.Nodes
	for i, e := range energies {
		if e == nil {
			return t // s has the error
		}
		at := s.Index("texture.scale", i)
		target, factor := at.Input("target", e.Shape()...), at.Input("factor", e.Shape()...)
		d := op.Scale{Factor: 1. / textureScales}.Apply(at,
			op.MSE{}.Apply(at, op.Mul{}.Apply(at, e, factor), target, weights))
		if t.distance == nil {
			t.distance = d
		} else {
			t.distance = op.Add{}.Apply(at, t.distance, d)
		}
		targets, factors = append(targets, target), append(factors, factor)
	}
	t.feed = func(ctx context.Context, f vm.Feeds, image []float32) error {
		p, err := x.truth(z)
		if err != nil {
			return err
		}
		out, err := p.Run(ctx, vm.Feeds{}.Set(p.image, image))
		if err != nil {
			return err
		}
		for i, o := range out {
			target := slices.Clone(o.Float32s())
			factor := make([]float32, len(target))
			for j, e := range target {
				factor[j] = float32(0.5 / math.Sqrt(max(float64(e), 0)+textureFloor))
				target[j] = e * factor[j]
			}
			f.Set(targets[i], target).Set(factors[i], factor)
		}
		return nil
	}
	return t
}

// truth compiles the program for images of a size when it is needed first.
func (x *texture) truth(z size) (*truth, error) {
	if p, ok := x.truths[z]; ok {
		return p, nil
	}
	s := op.NewScope("truth")
	image := s.Input("image", z.batch, z.height, z.width, 3)
	energies := textureEnergies(s, image)
	if err := s.Err(); err != nil {
		return nil, err
	}
	p, err := vm.Compile(energies, x.options())
	if err != nil {
		return nil, err
	}
	x.truths[z] = &truth{p, image}
	return x.truths[z], nil
}

// programs are those of true images; none without the term.
func (x *texture) programs() []*vm.Program {
	if x == nil {
		return nil
	}
	var list []*vm.Program
	for _, p := range x.truths {
		list = append(list, p.Program)
	}
	return list
}
