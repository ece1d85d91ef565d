package train

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/finite"
)

// consistency distils the translation of a U-Net, the teacher, into one that needs few steps, the student: Song et al.,
// "Consistency Models" (2023), algorithm 2, for latents as in Luo et al., "Latent Consistency Models" (2023), over
// segments of the noise levels as in Heek et al., "Multistep Consistency Models" (2024).
//
//	latents, noise, level t ─ noisy latents ─┬─ teacher ─ one step down ─ student, without gradient ─────┐
//	                                         │                      down to the end of the segment ◀─────┘
//	                                         │                                  │ the velocity that leads there at once
//	                                         └─ student ──── velocity ──── squared error ─ loss
//
// Levels are those of a schedule.Grid, on which neighbours are 1000/48 time steps apart: the skipping steps of Luo et
// al. At a segment's last level the step down ends at its border, and the target is the teacher's own output; from
// there the student learns upwards, level by level. With more than one step of the teacher (Config.DistillHops) it
// learns sooner, and with as many as a segment has levels at once, from the teacher alone; then it learns only the
// levels where segments begin.
//
// With one segment the border is the sample itself, and this is plain consistency distillation; with more the student's
// jumps are DDIM's steps, η 0, between the borders. The target comes from the student itself, without gradient, as in
// Heek et al., or from its moving average, as in Song et al. (Config.DistillAverage).
//
// Student and teacher start with the same weights, if nothing else is asked for, and get the same condition and
// context. All levels weigh the same in the squared error of velocities, in which no level is without signal: at pure
// noise the velocity is the sample.
type consistency struct {
	*diffusion
	grid    *schedule.Grid
	trainer *Trainer
	teacher *weights.Store
	guides  map[guided]*denoiser
}

// guide is a network that takes part in making the target.
type guide string

const (
	teacher guide = "the teacher"
	student guide = "the student" // without gradients
)

// guided is what a guide is compiled for.
type guided struct {
	by   guide
	size size
}

// denoiser is a U-Net for outputs alone.
type denoiser struct {
	*vm.Program
	*unet.Network
	flop int64
}

func newConsistency(t *Trainer) (*consistency, error) {
	c, o := t.config, t.options
	d, err := newDiffusion(c, o.UNet, o.Schedule)
	if err != nil {
		return nil, err
	}
	g, err := o.Schedule.Grid(c.DistillLevels, c.DistillSegments)
	if err != nil {
		return nil, err
	}
	store, err := openWeights(cmp.Or(o.Teacher, o.UNet), o.Variant)
	if err != nil {
		return nil, err
	}
	return &consistency{diffusion: d, grid: g, trainer: t, teacher: store, guides: map[guided]*denoiser{}}, nil
}

func (f *consistency) close() error { return f.teacher.Close() }

// FastSampling is how the U-Net of a distillation is sampled: from noise, without inversion, by a step of DDIM without
// noise for each segment, or, where it takes every level to the sample, by 4 steps of multistep consistency sampling.
// One that is trained end to end makes the sample at once.
func (c Config) FastSampling() schedule.Sampling {
	s := schedule.Paper()
	s.StepsInversion, s.StepsTranslation = 0, c.DistillSegments
	s.EtaTranslation, s.Normalize = schedule.EtaZero(), schedule.NormalizeNone
	switch {
	case c.Objective == EndToEnd:
		s.Solver, s.StepsTranslation = schedule.SolverConsistency, 1
	case c.DistillSegments == 1 && !c.direct():
		s.Solver, s.StepsTranslation = schedule.SolverConsistency, 4
	}
	return s
}

// programs are those of the teacher and of the student without gradient.
func (f *consistency) programs() []*vm.Program {
	var list []*vm.Program
	for _, d := range f.guides {
		list = append(list, d.Program)
	}
	return list
}

// draw draws noise as for a diffusion, and a level of the grid for each sample.
func (f *consistency) draw(g *rng.Torch, e Example) (Draws, error) {
	every := 1
	if f.config.direct() {
		every = f.config.DistillLevels / f.config.DistillSegments
	}
	d, err := Draw(g, e.Shape, f.grid.Len()/every)
	for i, n := range d.Timesteps {
		d.Timesteps[i] = f.grid.Timestep((n + 1) * every)
	}
	return d, err
}

func (f *consistency) lossGraph(z size, share float64) (*lossGraph, error) {
	return f.squaredError(z, share, func(ctx context.Context, e Example, d Draws) (diffused, error) {
		x, err := f.config.diffuse(f.schedule, e, d)
		if err == nil {
			err = f.setTarget(ctx, z, e, d, &x)
		}
		return x, err
	})
}

// setTarget replaces the target of noisy latents by the velocity that leads to the end of their segment.
func (f *consistency) setTarget(ctx context.Context, z size, e Example, d Draws, x *diffused) error {
	samples, channels, each := e.Shape[0], e.Shape[3], len(e.Latents)/e.Shape[0]
	from, at, border := make([]int, samples), make([]int, samples), make([]int, samples)
	for i, t := range d.Timesteps {
		var err error
		if from[i], err = f.grid.Level(t); err != nil {
			return err
		}
		at[i], border[i] = from[i], f.grid.Border(from[i])
	}
	sample := slices.Clone(x.sample) // the latents go down in it, the condition stays
	latents, end := make([]float32, len(e.Latents)), make([]float32, len(e.Latents))
	for i := range latents {
		latents[i] = sample[i/channels*2*channels+i%channels]
	}
	copy(end, latents)
	// down takes the samples above their borders down by a guide's velocity, to levels that to returns.
	down := func(by guide, to func(i int) int) error {
		if slices.Equal(at, border) {
			return nil
		}
		velocity, err := f.run(ctx, by, z, sample, f.times(at), e.Context)
		if err != nil {
			return err
		}
		for i := range at {
			if at[i] > border[i] {
				a, b := i*each, (i+1)*each
				f.grid.Move(end[a:b], end[a:b], velocity[a:b], at[i], to(i))
				at[i] = to(i)
			}
		}
		for i, v := range end {
			sample[i/channels*2*channels+i%channels] = v
		}
		return nil
	}
	for range f.config.DistillHops {
		if err := down(teacher, func(i int) int { return at[i] - 1 }); err != nil {
			return err
		}
	}
	if err := down(student, func(i int) int { return border[i] }); err != nil {
		return err
	}
	for i := range from {
		a, b := i*each, (i+1)*each
		f.grid.Velocity(x.target[a:b], latents[a:b], end[a:b], from[i], border[i])
	}
	return nil
}

// times are the time steps of levels; the output for the lowest is not used.
func (f *consistency) times(levels []int) []float32 {
	t := make([]float32, len(levels))
	for i, level := range levels {
		t[i] = float32(max(f.grid.Timestep(level), 0))
	}
	return t
}

// run returns the output of a guide, which is compiled when it is needed first. The output is valid
// until the next run.
func (f *consistency) run(
	ctx context.Context, by guide, z size, sample, timesteps, states []float32,
) ([]float32, error) {
	d, ok := f.guides[guided{by, z}]
	if !ok {
		var err error
		if d, err = f.compile(by, z); err != nil {
			return nil, fmt.Errorf("%s: %w", by, err)
		}
		f.guides[guided{by, z}] = d
	}
	out, err := d.Run(ctx, vm.Feeds{}.Set(d.Sample, sample).Set(d.Timesteps, timesteps).Set(d.Context, states))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", by, err)
	}
	f.trainer.flop += d.flop
	return out[0].Float32s(), finite.Check(string(by)+"'s output", out[0].Float32s(), finite.Squares)
}

// compile compiles the teacher, whose weights stay as they are, or the student, which changes with every update.
func (f *consistency) compile(by guide, z size) (*denoiser, error) {
	n, err := unet.Build(f.network, unet.Size{Batch: z.batch, Height: z.height, Width: z.width, Tokens: z.tokens})
	if err != nil {
		return nil, err
	}
	params, o := n.Scope.Params(), f.trainer.guideOptions()
	if by == student {
		o.Vary = params
		slot := Parameters
		if f.config.DistillAverage {
			slot = Averages
		}
		err = f.trainer.state.bind(params, slot)
	} else {
		err = f.teacher.Bind(params, weights.Mapping{})
	}
	if err != nil {
		return nil, err
	}
	p, err := vm.Compile(gorgonia.Nodes{n.Output}, o)
	if err != nil {
		return nil, err
	}
	d := &denoiser{Program: p, Network: n}
	for _, s := range p.Report().Steps {
		d.flop += s.FLOP
	}
	return d, nil
}
