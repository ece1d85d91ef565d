package mosaic

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/parallel"
)

// Request is an image to translate.
type Request struct {
	Source   Source
	Mask     Mask       // what of it; the zero Mask is all
	MPP      [2]float64 // micrometres of a pixel in x and y, for the plan; 0 if they are unknown
	Sampling infer.Settings
	Settings Settings
	Batch    int           // windows that the networks see together; they change the rounding alone
	Match    infer.Colours // what is done to the colours of what is painted; nil: nothing
	// Folder keeps finished parts, so that a run that ended early is continued; "" keeps them in memory. Origin says what
	// they belong to: program, model, and sources. Translate adds the settings.
	Folder string
	Origin origin.Origin
	// Shard shares the parts with other processes that have the same folder.
	Shard   infer.Shard
	Observe progress.Observer // receives Progress
}

// Progress is the event that work has been done.
type Progress struct {
	Plan    Plan
	Preview bool  // the work is that on a preview; Plan is that of the preview, too
	Calls   int64 // of the U-Net, of Plan.Calls, those of earlier runs included
	Regions int   // finished, of Plan.Regions
	// Rows are the next rows of a region that is being painted, RGB [n,Area.Width,3] of Area; nil between.
	Area Rect
	Rows []uint8
}

// run is a call of Translate.
type run struct {
	Request
	*sampler
	layout     layout
	store      store
	statistics *learned
	plan       Plan
	calls      int64 // of the U-Net so far
	finished   int   // regions that are painted
	regions    []region
	recent     []recalled // regions, the last used last

	pieces  []piece
	ended   map[int]bool    // parts that are done
	painted map[string]bool // regions whose pixels are there, and were reported
	queue   *claim.Queue
	at      int                   // the part that is being done
	made    int64                 // calls for it
	shown   func() error          // is called when this process has painted a region, and before the output is written
	path    string                // of the output; "" if it is no file
	publish func(held bool) error // puts the output at its place, after its rows, or discards it
}

// model is what a plan needs to know of a model.
type model struct {
	window     int // side of its training images in pixels
	factor     int // pixels for each latent
	tokenBytes int // of a window
}

func modelOf(p *infer.Pipeline) model { return model{p.TrainingSize(), p.Factor(), p.TokenBytes()} }

// PlanFor returns what a run will take, without doing anything.
func PlanFor(p *infer.Pipeline, r Request) (Plan, error) {
	v, err := r.prepare(modelOf(p))
	if err != nil {
		return Plan{}, err
	}
	return v.plan, nil
}

// prepare checks a request and divides the image.
func (r Request) prepare(m model) (*run, error) {
	if err := r.Settings.Validate(); err != nil {
		return nil, err
	}
	width, height := r.Source.Size()
	if width < 1 || height < 1 {
		return nil, fmt.Errorf("an image of %d×%d pixels", width, height)
	}
	if len(r.Mask.Cells) == 0 {
		r.Mask = Everything(width, height)
	}
	if err := r.Mask.check(width, height); err != nil {
		return nil, err
	}
	if r.Sampling.Normalize == schedule.NormalizeSteps && r.Sampling.EtaInversion.String() != "zero" {
		return nil, option.Wrong("eta-inversion", "%s: windows are not standardised before a step's noise: want zero, or "+
			"normalize inversion or none", r.Sampling.EtaInversion)
	}
	r.Batch = max(r.Batch, 1)
	window := cmp.Or(r.Settings.Window, m.window)
	if window%m.factor != 0 {
		return nil, option.Wrong("window", "%d: want a multiple of %d, as the model's autoencoder does", window, m.factor)
	}
	v := &run{Request: r}
	v.layout = newLayout(width, height, m.factor, window, r.Settings, r.Mask)
	v.regions = v.layout.list()
	v.plan = v.layout.plan(r, v.regions, m.tokenBytes)
	return v, nil
}

// Translate translates an image of any size, window by window, and writes its rows to sink. The result depends on the
// image, the mask, the settings, the model, the device and, by rounding, the batch: not on the order of work, or on
// interruptions. Memory is Plan.Memory at most, whatever the size.
func Translate(ctx context.Context, p *infer.Pipeline, r Request, sink Sink) (Plan, error) {
	v, err := begin(ctx, p, r)
	if err != nil {
		return Plan{}, err
	}
	return v.plan, v.finish(ctx, p, sink)
}

// begin accepts a request, or refuses it: for its settings, for want of memory, or for those of the parts that are
// there. A run that is refused has written nothing.
func begin(ctx context.Context, p *infer.Pipeline, r Request) (*run, error) {
	v, err := accept(ctx, p, r)
	if err == nil {
		v.store, err = v.open()
	}
	return v, err
}

// accept accepts a request, or refuses it for anything but the parts that are there.
func accept(ctx context.Context, p *infer.Pipeline, r Request) (*run, error) {
	v, err := r.prepare(modelOf(p))
	if err != nil {
		return nil, err
	}
	w, err := v.windows(ctx, p)
	if err != nil {
		return nil, err
	}
	v.Sampling = w.Settings
	return v, nil
}

// windows are the networks for the run's windows.
func (v *run) windows(ctx context.Context, p *infer.Pipeline) (*infer.Windows, error) {
	l := &v.layout
	return p.Windows(ctx, v.Sampling, v.Batch, l.rows.window*l.factor, l.cols.window*l.factor)
}

// finish does the work of a run that was begun.
func (v *run) finish(ctx context.Context, p *infer.Pipeline, sink Sink) error {
	w, err := v.windows(ctx, p)
	if err != nil {
		return err
	}
	return v.translateWith(ctx, &sampler{
		networks: w, settings: w.Settings, schedule: w.Schedule, inversion: w.Inversion, translation: w.Translation,
		channels: w.Channels, scale: w.Scale, tokens: w.TokenValues,
	}, sink)
}

// translateWith does the work of Translate with a sampler's networks.
func (v *run) translateWith(ctx context.Context, s *sampler, sink Sink) (err error) {
	s.batch, s.source, s.noise = v.Batch, v.Source, rng.Field{Seed: s.settings.Seed}
	s.each = v.Settings.Statistics == StatisticsTile
	s.progress = func(calls int) error {
		v.calls += int64(calls)
		v.made += int64(calls)
		v.queue.Doing(v.at, v.made, v.pieces[v.at].work)
		return v.report(Rect{}, nil)
	}
	v.sampler, v.Sampling = s, s.settings
	if v.store == nil {
		if v.store, err = v.open(); err != nil {
			return err
		}
	}
	return v.all(ctx, sink)
}

// open returns the store of finished parts.
func (v *run) open() (store, error) {
	if v.Folder == "" {
		return memory{}, nil
	}
	o, err := v.origin()
	if err != nil {
		return nil, err
	}
	return openFolder(v.Folder, o, v.Shard.Count > 0)
}

// stated is what is stated of a Match.
type stated struct {
	Match infer.Colours `json:"match,omitempty"`
}

// origin is everything that the result depends on: that of the request, and its settings.
func (r Request) origin() (o origin.Origin, err error) {
	o = r.Origin
	if o.Settings, err = origin.NewSettings(r.Sampling, r.Settings, stated{r.Match}); err == nil {
		maps.Copy(o.Settings, r.Origin.Settings)
	}
	return o, err
}

func (v *run) report(a Rect, rows []uint8) error {
	return v.Observe.Report(Progress{Plan: v.plan, Calls: v.calls, Regions: v.finished, Area: a, Rows: rows})
}

// replayOne reports a region that is there.
func (v *run) replayOne(g region) (err error) {
	if v.Observe == nil {
		return v.paintedOne(g)
	}
	r, err := v.reader(g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	p := v.layout.coreOf(g)
	row := make([]uint8, 3*p.Width)
	for y := range p.Height {
		if err := r.next(row); err != nil {
			return err
		}
		if err := v.report(Rect{p.X, p.Y + y, p.Width, 1}, row); err != nil {
			return err
		}
	}
	return v.paintedOne(g)
}

// The endings of a region's files.
const (
	latentsFile    = ".latents"
	pixelsFile     = ".pixels"
	statisticsFile = "statistics.json"
)

// learn takes the statistics over sampled windows, where one region doesn't hold all.
func (v *run) learn(ctx context.Context) error {
	if !v.sampled() {
		return nil
	}
	there, err := v.store.has(statisticsFile)
	if err != nil {
		return err
	}
	if there {
		r, err := v.store.get(statisticsFile)
		if err != nil {
			return err
		}
		err = json.NewDecoder(r).Decode(&v.statistics)
		v.calls += int64(v.plan.Sampled * v.Sampling.Inversions())
		return errors.Join(err, r.Close())
	}
	all := v.layout.tiles(span{0, len(v.layout.rows.starts)}, span{0, len(v.layout.cols.starts)}, 0, 0)
	var some []tile
	for i := range v.plan.Sampled {
		some = append(some, all[i*len(all)/v.plan.Sampled])
	}
	st, err := v.start(ctx, v.layout.scattered(some))
	if err == nil {
		v.statistics, err = v.invert(ctx, st, nil)
	}
	if err != nil {
		return fmt.Errorf("statistics: %w", err)
	}
	return v.store.put(statisticsFile, func(w io.Writer) error { return json.NewEncoder(w).Encode(v.statistics) })
}

// sampled reports whether statistics are those of sampled windows.
func (v *run) sampled() bool { return v.plan.Sampled > 0 }

// region computes a region's latents.
func (v *run) region(ctx context.Context, g region) error {
	there, err := v.store.has(g.name + latentsFile)
	if err != nil {
		return err
	}
	if there {
		v.calls += v.layout.calls(v.Sampling, g)
		return nil
	}
	c := v.layout.newCanvas(g.area, g.rows, g.cols)
	st, err := v.start(ctx, c)
	if err != nil {
		return err
	}
	if _, err := v.invert(ctx, st, v.statistics); err != nil {
		return err
	}
	if err := v.translate(ctx, st); err != nil {
		return err
	}
	for i, covered := range c.covered { // what no window covers is noise: nothing is read of it
		if !covered {
			clear(st.latents[i*v.channels : (i+1)*v.channels])
		}
	}
	return putFloats(v.store, g.name+latentsFile, st.latents)
}

// paint decodes a region's core.
func (v *run) paint(ctx context.Context, g region) error {
	p := v.layout.coreOf(g)
	return v.store.put(g.name+pixelsFile, func(w io.Writer) error {
		s, err := newStrips(w, p.Width)
		if err != nil {
			return err
		}
		y := p.Y
		err = v.decode(ctx, &v.layout, g.core, v.blended, func(rows []uint8) error {
			if v.Match != nil {
				v.Match.Apply(rows)
			}
			if err := s.add(rows); err != nil {
				return err
			}
			n := len(rows) / (3 * p.Width)
			y += n
			return v.report(Rect{p.X, y - n, p.Width, n}, rows)
		})
		return errors.Join(err, s.end())
	})
}

// blended are the latents of an area, [h,w,C]: where regions overlap, one hands over to the other.
func (v *run) blended(a area) ([]float32, error) {
	c := v.channels
	sum, total := make([]float64, a.h*a.w*c), make([]float64, a.h*a.w)
	for _, g := range v.regions {
		y0, y1 := max(a.y, g.area.y), min(a.y+a.h, g.area.y+g.area.h)
		x0, x1 := max(a.x, g.area.x), min(a.x+a.w, g.area.x+g.area.w)
		if y0 >= y1 || x0 >= x1 {
			continue
		}
		r, err := v.recall(g)
		if err != nil {
			return nil, err
		}
		for y := y0; y < y1; y++ {
			down := v.layout.down.weight(g.row, y)
			for x := x0; x < x1; x++ {
				from, to := (y-g.area.y)*g.area.w+x-g.area.x, (y-a.y)*a.w+x-a.x
				w := down * v.layout.across.weight(g.col, x)
				if w == 0 || !r.covered[from] {
					continue
				}
				total[to] += w
				for k := range c {
					sum[to*c+k] += w * float64(r.latents[from*c+k])
				}
			}
		}
	}
	values := make([]float32, len(sum))
	for i, s := range sum {
		if t := total[i/c]; t > 0 {
			values[i] = float32(s / t)
		}
	}
	return values, nil
}

// write streams the finished regions into the sink, and what is outside the mask as the settings say. The next rows are
// made while the sink takes some.
func (v *run) write(ctx context.Context, sink Sink) (err error) {
	r := rowReader{run: v}
	defer func() { err = errors.Join(err, r.close()) }()
	return parallel.Ahead(func() ([]uint8, error) { return r.next(ctx) }, func(rows []uint8) error {
		if err := sink.Write(ctx, rows); err != nil {
			return err
		}
		return ctx.Err()
	})
}

// recalled are a region's latents, and which of them windows cover.
type recalled struct {
	name    string
	latents []float32
	covered []bool
}

// recall reads a region's latents. As many regions as can meet, with those of the next, are kept.
func (v *run) recall(g region) (recalled, error) {
	for _, r := range v.recent {
		if r.name == g.name {
			return r, nil
		}
	}
	r := recalled{name: g.name}
	var err error
	if r.latents, err = getFloats(v.store, g.name+latentsFile, g.area.h*g.area.w*v.channels); err != nil {
		return r, err
	}
	r.covered = g.area.covered(v.layout.tiles(g.rows, g.cols, 0, 0))
	if v.recent = append(v.recent, r); len(v.recent) > recallRegions {
		v.recent = slices.Delete(v.recent, 0, 1)
	}
	return r, nil
}

// recallRegions is how many regions are kept for painting: a region and its neighbours.
const recallRegions = 9
