package op

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TimestepEmbedding is the sinusoidal embedding of diffusers' Timesteps: t [N] → [N,Channels], the cosines first if
// CosFirst (flip_sin_to_cos). The frequency exp(−ln 10000 · k / (half − FreqShift)) is rounded to float32 before it is
// multiplied by t, as there: with frequencies kept in float64 the values differ by up to 5e-5.
type TimestepEmbedding struct {
	Channels  int
	CosFirst  bool
	FreqShift float64 // downscale_freq_shift
}

// EmbedTimestep applies diffusers' Timesteps: t [N] → [N,channels].
func EmbedTimestep(s *Scope, t *gorgonia.Node, spec TimestepEmbedding) *gorgonia.Node {
	return s.apply(spec, t)
}

// Name returns "TimestepEmbedding".
func (e TimestepEmbedding) Name() string { return "TimestepEmbedding" }

// Infer returns [N,Channels].
func (e TimestepEmbedding) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if len(in[0]) != 1 {
		return nil, fmt.Errorf("timesteps %v: want [N]", in[0])
	}
	if e.Channels < 2 || e.Channels%2 != 0 || float64(e.Channels/2) <= e.FreqShift {
		return nil, fmt.Errorf("%d channels with a frequency shift of %g: want an even number, its half above the shift", e.Channels, e.FreqShift)
	}
	return tensor.Shape{in[0][0], e.Channels}, nil
}

// Kinds returns exact timesteps (bfloat16 has no 999) and an activation.
func (e TimestepEmbedding) Kinds(int) ([]Kind, Kind) { return []Kind{Exact}, Feature }
