package mosaic

import (
	"context"
	"errors"
	"fmt"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/finite"
)

// networks are what is called for windows: *infer.Windows, or a stand-in in tests.
type networks interface {
	Encode(ctx context.Context, images []*imagefile.Image) ([]float32, error)
	Tokens(ctx context.Context, images []*imagefile.Image) ([]float32, error)
	Denoise(ctx context.Context, timestep, n int, latents, condition, tokens []float32) ([]float32, error)
	Decode(ctx context.Context, n int, latents []float32) ([]float32, error)
}

// sampler translates canvases: arrays of latents [h,w,C] that windows cover.
type sampler struct {
	networks
	settings               infer.Settings
	schedule               *schedule.Schedule
	inversion, translation infer.Trajectory
	batch, channels        int
	scale                  float64 // of latents
	tokens                 int     // values of a window's tokens
	source                 Source
	noise                  rng.Field
	each                   bool // standardise each window alone
	// progress is told how many calls of the U-Net have been made since the last time.
	progress func(calls int) error
}

// canvas are the latents of a region, or of windows from different places, one below the other.
type canvas struct {
	h, w    int
	patches []patch // where it is on the image: for the noise
	tiles   []tile
	covered []bool // [h,w]: by tiles
	masked  []bool // [h,w]: of those, what the statistics are taken over
	total   []float32
}

// patch is a rectangle of a canvas, of whole rows, and where its first latent is on the image.
type patch struct {
	from, rows int
	y, x       int
}

// learned are the moments that latents are standardised with.
type learned struct {
	// Steps has those after each step of the inversion, or one for its end, or none: see schedule.Normalize.
	Steps []schedule.Moments `json:"steps"`
}

// The draws of the noise: each has its own numbers at every place.
const (
	drawPosterior   = 0
	drawStart       = 1       // of a translation without inversion
	drawInversion   = 1 << 20 // and the step
	drawTranslation = 2 << 20 // and the step
)

// newCanvas is that of a region.
func (l *layout) newCanvas(a area, rows, cols span) *canvas {
	c := &canvas{h: a.h, w: a.w, patches: []patch{{0, a.h, a.y, a.x}}, tiles: l.tiles(rows, cols, a.y, a.x)}
	c.covered = a.covered(c.tiles)
	c.masked = l.masked(a, c.covered)
	return c
}

// scattered is a canvas of windows that don't touch, whose statistics are those of the image.
func (l *layout) scattered(tiles []tile) *canvas {
	c := &canvas{h: l.rows.window * len(tiles), w: l.cols.window}
	ones := func(n int) []float32 {
		w := make([]float32, n)
		for i := range w {
			w[i] = 1
		}
		return w
	}
	for i, t := range tiles {
		t.y, t.x, t.down, t.over = i*l.rows.window, 0, ones(l.rows.window), ones(l.cols.window)
		c.tiles = append(c.tiles, t)
		c.patches = append(c.patches, patch{t.y, t.at.h, t.at.y, t.at.x})
		covered := t.at.covered([]tile{t})
		c.covered, c.masked = append(c.covered, covered...), append(c.masked, l.masked(t.at, covered)...)
	}
	return c
}

// fill draws noise for a canvas.
func (s *sampler) fill(dst []float32, c *canvas, draw uint64) error {
	for _, p := range c.patches {
		n := c.w * s.channels
		if err := s.noise.Fill(dst[p.from*n:(p.from+p.rows)*n], draw, p.y, p.x, p.rows, c.w, s.channels); err != nil {
			return err
		}
	}
	return nil
}

// state is a canvas between its encoding and its translation.
type state struct {
	*canvas
	latents   []float32 // [h,w,C]
	condition []float32 // [h,w,C]
	tokens    []float32 // [tiles,tokens]
}

// start encodes a canvas.
func (s *sampler) start(ctx context.Context, c *canvas) (*state, error) {
	if len(c.tiles) == 0 {
		return nil, errors.New("no windows")
	}
	moments := make([]float32, c.h*c.w*2*s.channels)
	st := &state{canvas: c, tokens: make([]float32, 0, len(c.tiles)*s.tokens)}
	windows := windowReader{source: s.source, tiles: c.tiles}
	err := s.blend(ctx, c, moments, 2*s.channels, func(batch []tile, first int) ([]float32, error) {
		images := make([]*imagefile.Image, len(batch))
		for i := range batch {
			var err error
			if images[i], err = windows.read(ctx, first+i); err != nil {
				return nil, err
			}
		}
		tokens, err := s.Tokens(ctx, images)
		if err != nil {
			return nil, err
		}
		st.tokens = append(st.tokens, tokens...)
		return s.Encode(ctx, images)
	})
	if err != nil {
		return nil, err
	}
	noise := make([]float32, len(moments)/2)
	if err := s.fill(noise, c, drawPosterior); err != nil {
		return nil, err
	}
	st.latents, st.condition = vae.Latents(moments, noise, s.channels, s.scale)
	return st, nil
}

// invert takes a canvas to noise and standardises it, with given statistics or, where they are nil, with its own, which
// it returns.
func (s *sampler) invert(ctx context.Context, st *state, given *learned) (*learned, error) {
	own := &learned{}
	standardise := func() error {
		if s.each {
			return s.standardiseTiles(ctx, st)
		}
		var m schedule.Moments
		if given == nil {
			var err error
			if m, err = schedule.MomentsOf(st.latents, s.channels, st.masked); err != nil {
				return fmt.Errorf("standardise: %w", err)
			}
			own.Steps = append(own.Steps, m)
		} else {
			if len(own.Steps) >= len(given.Steps) {
				return errors.New("standardise: statistics of another sampler")
			}
			m = given.Steps[len(own.Steps)]
			own.Steps = append(own.Steps, m)
		}
		m.Standardise(st.latents)
		return nil
	}
	if s.settings.Inversions() == 0 {
		if err := s.fill(st.latents, st.canvas, drawStart); err != nil {
			return nil, err
		}
	} else {
		l := loop{Trajectory: s.inversion, phase: infer.Inversion, eta: s.settings.EtaInversion.At, draw: drawInversion}
		if s.settings.Normalize == schedule.NormalizeSteps {
			l.after = standardise
		}
		if err := s.iterate(ctx, st, l); err != nil {
			return nil, err
		}
	}
	if s.settings.Normalize == schedule.NormalizeInversion {
		if err := standardise(); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// standardiseTiles standardises each window alone and blends them.
func (s *sampler) standardiseTiles(ctx context.Context, st *state) error {
	from := append([]float32(nil), st.latents...)
	return s.blend(ctx, st.canvas, st.latents, s.channels, func(batch []tile, _ int) ([]float32, error) {
		var values []float32
		for _, t := range batch {
			part := gather(nil, from, st.w, t, s.channels)
			if err := schedule.Standardise(part, [4]int{1, t.at.h, t.at.w, s.channels}); err != nil {
				return nil, err
			}
			values = append(values, part...)
		}
		return values, nil
	})
}

// translate takes a canvas from noise to the stain's latents.
func (s *sampler) translate(ctx context.Context, st *state) error {
	return s.iterate(ctx, st, loop{
		Trajectory: s.translation, phase: infer.Translation, draw: drawTranslation, tokens: true,
		eta: func(i, n int) (float64, error) { return s.settings.Solver.Eta(s.settings.EtaTranslation, i, n) },
	})
}

// loop is the inversion or the translation.
type loop struct {
	infer.Trajectory
	phase  infer.Phase
	eta    func(i, n int) (float64, error) // of step i of n
	draw   uint64
	tokens bool // and the condition
	after  func() error
}

// iterate runs a loop. In each step the network sees every window of the same latents, its outputs are blended, and the
// solver takes the whole canvas one step: so a solver of any order has one history.
func (s *sampler) iterate(ctx context.Context, st *state, l loop) error {
	output := make([]float32, len(st.latents))
	var noise []float32
	var history schedule.History
	for i, step := range l.Steps {
		var err error
		if step.Eta, err = l.eta(i, len(l.Steps)); err != nil {
			return fmt.Errorf("%s: %w", l.phase, err)
		}
		err = s.blend(ctx, st.canvas, output, s.channels, func(batch []tile, first int) ([]float32, error) {
			var latents, condition, tokens []float32
			for _, t := range batch {
				latents = gather(latents, st.latents, st.w, t, s.channels)
				if l.tokens {
					condition = gather(condition, st.condition, st.w, t, s.channels)
				}
			}
			if l.tokens {
				tokens = st.tokens[first*s.tokens : (first+len(batch))*s.tokens]
				if s.settings.Without.Concatenation() {
					clear(condition)
				}
			}
			out, err := s.Denoise(ctx, step.Timestep, len(batch), latents, condition, tokens)
			if err == nil && s.progress != nil {
				err = s.progress(len(batch))
			}
			return out, err
		})
		if err != nil {
			return fmt.Errorf("%s step %d: %w", l.phase, i, err)
		}
		if step.Eta > 0 {
			if noise == nil {
				noise = make([]float32, len(st.latents))
			}
			if err := s.fill(noise, st.canvas, l.draw+uint64(i)); err != nil {
				return err
			}
		}
		step.Noise, step.History = noise, &history
		if err := l.Sampler(s.schedule, st.latents, output, step); err != nil {
			return fmt.Errorf("%s step %d (timestep %d): %w", l.phase, i, step.Timestep, err)
		}
		if l.after != nil {
			if err := l.after(); err != nil {
				return fmt.Errorf("%s step %d: %w", l.phase, i, err)
			}
		}
		if err := finite.Check("latents", st.latents, finite.Squares); err != nil {
			return fmt.Errorf("%s step %d (timestep %d): %w", l.phase, i, step.Timestep, err)
		}
	}
	return nil
}

// blend calls f for batches of a canvas's windows, first is the number of the batch's first, and writes the weighted
// mean of their values [n,h,w,c] to dst [h,w,c]; zeros where there is no window.
func (s *sampler) blend(ctx context.Context, c *canvas, dst []float32, channels int,
	f func(batch []tile, first int) ([]float32, error),
) error {
	clear(dst)
	for first := 0; first < len(c.tiles); first += s.batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := c.tiles[first:min(first+s.batch, len(c.tiles))]
		values, err := f(batch, first)
		if err != nil {
			return err
		}
		n := len(values) / len(batch)
		for i, t := range batch {
			scatter(dst, c.w, values[i*n:(i+1)*n], t, channels)
		}
	}
	if c.total == nil {
		c.total = make([]float32, c.h*c.w)
		for _, t := range c.tiles {
			ones := make([]float32, t.at.h*t.at.w)
			for i := range ones {
				ones[i] = 1
			}
			scatter(c.total, c.w, ones, t, 1)
		}
	}
	for p, total := range c.total {
		if total > 0 && total != 1 {
			for k := range channels {
				dst[p*channels+k] /= total
			}
		}
	}
	return nil
}

// gather appends the part of a canvas [h,w,c] under a window to dst.
func gather(dst, from []float32, width int, t tile, c int) []float32 {
	for i := range t.at.h {
		at := ((t.y+i)*width + t.x) * c
		dst = append(dst, from[at:at+t.at.w*c]...)
	}
	return dst
}

// scatter adds a window's weighted values to a canvas [h,w,c].
func scatter(dst []float32, width int, values []float32, t tile, c int) {
	for i := range t.at.h {
		to := dst[((t.y+i)*width+t.x)*c:]
		from := values[i*t.at.w*c : (i+1)*t.at.w*c]
		for j, over := range t.over {
			w := t.down[i] * over
			if w == 0 {
				continue
			}
			for k := range c {
				to[j*c+k] += float32(w * from[j*c+k])
			}
		}
	}
}
