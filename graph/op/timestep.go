package op

import (
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TimestepEmbedding is the sinusoidal embedding of diffusers' Timesteps: t [N] → [N,Channels], the cosines first if
// CosFirst (flip_sin_to_cos). As in diffusers, the frequency exp(−ln 10000 · k / (half − FreqShift)) is rounded to
// float32 before it is multiplied by t: with frequencies in float64 the values differ by up to 5e-5.
type TimestepEmbedding struct {
	Channels  int
	CosFirst  bool
	FreqShift float64 // downscale_freq_shift
}

// Apply embeds t [N]: [N,Channels].
func (e TimestepEmbedding) Apply(s *Scope, t *gorgonia.Node) *gorgonia.Node { return s.apply(e, t) }

func (e TimestepEmbedding) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) != 1 {
		return nil, errorf("timesteps %v: want [N]", in[0])
	}
	if e.Channels < 2 || e.Channels%2 != 0 || float64(e.Channels/2) <= e.FreqShift {
		return nil, errorf("%d channels with a frequency shift of %g: want an even number above twice the shift",
			e.Channels, e.FreqShift)
	}
	return tensor.Shape{in[0][0], e.Channels}, nil
}

// Kinds returns exact timesteps (bfloat16 has no 999) and an activation.
func (e TimestepEmbedding) Kinds(int) ([]Kind, Kind) { return []Kind{Exact}, Feature }

// Embed writes the embedding of one timestep: Channels values.
func (e TimestepEmbedding) Embed(dst []float32, t float32) {
	half := e.Channels / 2
	cos, sin := dst[half:], dst[:half]
	if e.CosFirst {
		cos, sin = sin, cos
	}
	// torch multiplies and divides tensors by scalars that it rounds to float32 first.
	logPeriod, steps := float32(-math.Log(10000)), float32(float64(half)-e.FreqShift)
	for k := range half {
		exponent := logPeriod * float32(k) / steps
		angle := t * float32(math.Exp(float64(exponent)))
		cos[k], sin[k] = float32(math.Cos(float64(angle))), float32(math.Sin(float64(angle)))
	}
}
