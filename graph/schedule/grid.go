package schedule

import (
	"fmt"
)

// Grid is the noise levels that a distillation steps along: level 0 is the sample without noise, levels 1 … n are the
// time steps of a run of n steps with trailing spacing, so that level n is the noisiest, with zero terminal SNR pure
// noise. The levels are divided into segments of equal length, over each of which a student is to jump at once; the
// jumps then begin at the time steps of a run with as many steps as there are segments.
//
// Along the probability flow's trajectory, x moves from a level to another by its velocity v, the network's output, as
// on a circle: x' = cos δ·x + sin δ·v, where δ is the difference of the angles φ = atan(√(1−ᾱ)/√ᾱ). That is DDIM with
// η 0 in the form of Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022), appendix
// D.
type Grid struct {
	timesteps []int // of the levels; −1 at level 0
	levels    []level
	segment   int // levels of a segment
}

// Grid makes a grid of n levels above the sample. The schedule must be of v-prediction with trailing spacing, and n a
// multiple of segments.
func (s *Schedule) Grid(n, segments int) (*Grid, error) {
	c := s.Config
	switch {
	case c.PredictionType != VPrediction || c.TimestepSpacing != Trailing:
		return nil, fmt.Errorf("a grid of noise levels: prediction_type is %s and timestep_spacing %s: want %s and %s",
			c.PredictionType, c.TimestepSpacing, VPrediction, Trailing)
	case n < 1 || n > c.NumTrainTimesteps || segments < 1 || n%segments != 0:
		return nil, fmt.Errorf("a grid of %d noise levels in %d segments: want 1 to %d levels, a multiple of the segments",
			n, segments, c.NumTrainTimesteps)
	}
	rising := trailing(c.NumTrainTimesteps, n)
	g := &Grid{timesteps: []int{-1}, levels: []level{{signal: 1}}, segment: n / segments}
	for _, t := range rising[len(rising)-n:] { // without a surplus −1: see Timesteps
		g.timesteps = append(g.timesteps, t)
		g.levels = append(g.levels, levelOf(s.AlphasCumprod[t]))
	}
	return g, nil
}

// Len is the number of levels above the sample.
func (g *Grid) Len() int { return len(g.timesteps) - 1 }

// Timestep is a level's time step, the network's input; −1 for level 0.
func (g *Grid) Timestep(level int) int { return g.timesteps[level] }

// Level is the level of a time step.
func (g *Grid) Level(timestep int) (int, error) {
	for i, t := range g.timesteps {
		if t == timestep && i > 0 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("time step %d is not on the grid of %d noise levels", timestep, g.Len())
}

// Border is the level where the segment of a level ends: the highest border below it.
func (g *Grid) Border(level int) int { return (level - 1) / g.segment * g.segment }

// turn is the cosine and the sine of the angle between two levels. Going down, the sine is negative.
func (g *Grid) turn(from, to int) (cos, sin float64) {
	a, b := g.levels[from], g.levels[to]
	return float64(b.signal*a.signal) + float64(b.noise*a.noise), float64(b.noise*a.signal) - float64(b.signal*a.noise)
}

// Move sets dst to where latents x arrive with the velocity v. dst may be x or v.
func (g *Grid) Move(dst, x, v []float32, from, to int) {
	cos, sin := g.turn(from, to)
	for i := range dst {
		dst[i] = float32(float64(cos*float64(x[i])) + float64(sin*float64(v[i])))
	}
}

// Velocity sets dst to the velocity with which latents x arrive at end: the inverse of Move. The levels must differ.
// dst may be x or end.
func (g *Grid) Velocity(dst, x, end []float32, from, to int) {
	cos, sin := g.turn(from, to)
	for i := range dst {
		dst[i] = float32((float64(end[i]) - float64(cos*float64(x[i]))) / sin)
	}
}
