package mosaic

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/histdist/histdist/internal/claim"
)

// piece is a part of a run's work. Each makes a file, and the last the output of them.
type piece struct {
	kind   pieceKind
	region region
	name   string // of its file
	needs  []int  // pieces that come before
	work   int64  // in calls of the U-Net
}

type pieceKind int

const (
	pieceStatistics pieceKind = iota
	pieceLatents
	piecePixels
	pieceOutput
)

// decodedCalls is how many calls of the U-Net decoding a window takes as long as: 2.5 TFLOP next to 0.8.
const decodedCalls = 3

// divide lists the pieces in the order in which one process does them: a region is painted as soon as those around it
// have latents.
func (v *run) divide() {
	var first []int
	if v.sampled() {
		v.pieces = append(v.pieces, piece{
			kind: pieceStatistics, name: statisticsFile, work: int64(v.plan.Sampled * v.Sampling.Inversions()),
		})
		first = []int{0}
	}
	latents, painted := map[string]int{}, map[string]bool{}
	for i, g := range v.regions {
		latents[g.name] = len(v.pieces)
		v.pieces = append(v.pieces, piece{
			kind: pieceLatents, region: g, name: g.name + latentsFile, needs: first, work: v.layout.calls(v.Sampling, g),
		})
		for _, other := range v.regions[:i+1] {
			needs, ready := v.around(other, latents)
			if painted[other.name] || !ready {
				continue
			}
			painted[other.name] = true
			v.pieces = append(v.pieces, piece{
				kind: piecePixels, region: other, name: other.name + pixelsFile, needs: needs,
				work: decodedCalls * int64(v.layout.count(v.layout.painting(other))),
			})
		}
	}
	all := make([]int, len(v.pieces))
	for i := range all {
		all[i] = i
	}
	v.pieces = append(v.pieces, piece{kind: pieceOutput, name: "output", needs: all, work: 1})
}

// around are the latents that a region is painted with, if all of them are among some.
func (v *run) around(g region, latents map[string]int) (needs []int, ready bool) {
	halo := v.layout.halo(g)
	for _, n := range v.regions {
		if !halo.meets(n.area) {
			continue
		}
		i, ok := latents[n.name]
		if !ok {
			return nil, false
		}
		needs = append(needs, i)
	}
	return needs, true
}

// all does all pieces, alone or with other processes. Those that are there are not done again.
func (v *run) all(ctx context.Context, sink Sink) (err error) {
	v.divide()
	v.ended, v.painted = map[int]bool{}, map[string]bool{}
	defer func() {
		if f, ok := v.store.(*folder); ok && err != nil && f.gone() {
			err = fmt.Errorf("%w: %s (%w)", errGone, f.path, err)
		}
	}()
	if err := v.replay(); err != nil {
		return err
	}
	if v.queue, err = v.share(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.queue.Close()) }()
	return v.queue.Each(v.ready, func(c *claim.Claim) error {
		v.at, v.made = c.Index, 0
		return v.piece(ctx, c, sink)
	}, func() error { return v.queue.Wait(ctx) })
}

// share opens the queue of pieces.
func (v *run) share() (*claim.Queue, error) {
	o := claim.Options{Ordered: true}
	if s := v.Shard; s.Count > 0 && v.Folder != "" {
		o.Folder = filepath.Join(v.Folder, claim.FolderName)
		o.Part, o.Silence = claim.Part{I: s.Index, N: s.Count}, s.DeadAfter
	}
	items := make([]claim.Item, len(v.pieces))
	for i, p := range v.pieces {
		items[i] = claim.Item{Name: p.name, Work: p.work}
		switch {
		case p.kind == pieceOutput && v.path != "":
			items[i].Outputs = []string{v.path}
		case p.kind != pieceOutput && v.Folder != "":
			items[i].Outputs = []string{filepath.Join(v.Folder, p.name)}
		}
	}
	return claim.Open(items, o)
}

// ready reports whether all that a part needs is done.
func (v *run) ready(i int) bool {
	for _, n := range v.pieces[i].needs {
		if !v.ended[n] {
			return false
		}
	}
	return true
}

// piece does a piece, or takes notice of one that another process has done.
func (v *run) piece(ctx context.Context, c *claim.Claim, sink Sink) (err error) {
	p := v.pieces[c.Index]
	switch {
	case p.kind == pieceStatistics:
		err = v.learn(ctx)
	case p.kind == pieceLatents && (c.Elsewhere || !v.awaited(p.region)):
		v.calls += p.work
	case p.kind == pieceLatents:
		err = v.region(ctx, p.region)
	case p.kind == piecePixels:
		err = v.pixels(ctx, c)
	case c.Elsewhere: // the output
	default:
		var held bool
		if held, err = v.output(ctx, c, sink); err == nil && !held {
			c.Drop()
			return nil
		}
	}
	if err != nil {
		if p.region.name != "" {
			err = fmt.Errorf("region %s: %w", p.region.name, err)
		}
		return err
	}
	v.ended[c.Index] = true
	if c.Elsewhere {
		return nil
	}
	return c.Finish(nil)
}

// awaited reports whether a region's latents are needed to paint it or a neighbour.
func (v *run) awaited(g region) bool {
	for _, n := range v.regions {
		if !v.painted[n.name] && v.layout.halo(n).meets(g.area) {
			return true
		}
	}
	return false
}

// replay reports the regions that earlier runs painted.
func (v *run) replay() error {
	for _, g := range v.regions {
		there, err := v.store.has(g.name + pixelsFile)
		if err == nil && there {
			err = v.replayOne(g)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pixels paints a region, unless its pixels are there.
func (v *run) pixels(ctx context.Context, c *claim.Claim) error {
	g := v.pieces[c.Index].region
	if v.painted[g.name] {
		return nil
	}
	there, err := v.store.has(g.name + pixelsFile)
	switch {
	case err != nil:
		return err
	case there:
		return v.replayOne(g)
	case c.Elsewhere:
		return errors.New("its pixels, which another process made, are damaged or gone: start again")
	}
	if err := v.paint(ctx, g); err != nil {
		return err
	}
	if err := v.paintedOne(g); err != nil || v.shown == nil {
		return err
	}
	return v.shown()
}

// paintedOne counts a region whose rows were reported.
func (v *run) paintedOne(g region) error {
	v.painted[g.name] = true
	v.finished++
	return v.report(Rect{}, nil)
}

// output writes the output, unless another process has taken that over.
func (v *run) output(ctx context.Context, c *claim.Claim, sink Sink) (held bool, err error) {
	if v.shown != nil {
		if err := v.shown(); err != nil {
			return false, err
		}
	}
	if err := v.write(ctx, sink); err != nil || v.publish == nil {
		return true, err
	}
	if held, err = c.Held(); err == nil {
		err = v.publish(held)
	}
	return held, err
}
