package evaluate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/claim"
	"github.com/histdist/histdist/internal/parallel"
)

// Sharing says how an evaluation is shared.
type Sharing struct {
	Part claim.Part // what this process measures first
	// Silence is how long another process may give no sign of life until what it does is taken over; 0: 2 minutes.
	Silence time.Duration
	// Assemble makes the evaluation, by Run with the same options, which finds all measured; and a report. It is called
	// by one of the processes.
	Assemble func(ctx context.Context) error
}

// reportItem is the last item of a shared evaluation.
const reportItem = "report/index.html"

// Share measures pairs together with other processes that share the output folder. Each begins with its part, by
// pixels, and goes on with what is left of the others. When all is measured, one of them assembles the evaluation; its
// bytes are those of a single process with the same batch, but for the time of the results. All return the results.
func Share(ctx context.Context, o Options, sharing Sharing) (*Results, error) {
	r, err := share(ctx, o, sharing)
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	return r, nil
}

func share(ctx context.Context, o Options, sharing Sharing) (_ *Results, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	pairs, err := FindMatches(ctx, o.Real, o.Virtual, o.HE, o.PatientPattern)
	if err != nil {
		return nil, err
	}
	networks := keep(o.Networks)
	defer func() { err = errors.Join(err, networks.close()) }()
	o.Networks = networks.list
	s := &shard{evaluation: newEvaluation(o, pairs), networks: networks, assemble: sharing.Assemble}
	if s.measurer, err = s.evaluation.measurer(ctx); err != nil {
		return nil, err
	}
	s.parts = s.groups()
	if s.queue, err = s.open(ctx, sharing); err != nil {
		return nil, err
	}
	if err := errors.Join(s.all(ctx), s.queue.Close()); err != nil {
		return nil, err
	}
	return readResults(filepath.Join(o.Output, ResultsFile))
}

// shard is one of several processes with one evaluation.
type shard struct {
	*evaluation
	networks *kept
	measurer *measurer // of all groups, without a cache
	parts    []group
	queue    *claim.Queue
	assemble func(context.Context) error

	mu       sync.Mutex
	measured int // groups, by any process
	pairs    int // in them
}

// open joins the processes that share the evaluation.
func (s *shard) open(ctx context.Context, sharing Sharing) (*claim.Queue, error) {
	settings, err := origin.NewSettings(s.o.Settings, struct {
		Real     string                   `json:"real"`
		Virtual  string                   `json:"virtual"`
		HE       string                   `json:"he"`
		Train    string                   `json:"train"`
		Against  string                   `json:"against"`
		Patient  string                   `json:"patient-pattern"`
		Batch    int                      `json:"batch"`
		Networks map[features.Kind]string `json:"networks"`
	}{s.o.Real, s.o.Virtual, s.o.HE, s.o.Train, s.o.Against, s.o.PatientPattern, s.batch(), s.networks.said})
	if err != nil {
		return nil, err
	}
	items := make([]claim.Item, len(s.parts), len(s.parts)+1)
	err = parallel.Each(ctx, len(items), 2*runtime.GOMAXPROCS(0), func(i int) error {
		items[i] = s.item(s.parts[i])
		return nil
	})
	if err != nil {
		return nil, err
	}
	report := claim.Item{Name: reportItem}
	for _, i := range items {
		report.Stamp += i.Stamp
	}
	report.Stamp = origin.HashBytes([]byte(report.Stamp))
	for _, name := range []string{ResultsFile, MarkdownFile, TableFile, filepath.FromSlash(reportItem)} {
		report.Outputs = append(report.Outputs, filepath.Join(s.o.Output, name))
	}
	q, err := claim.Open(append(items, report), claim.Options{
		Folder: filepath.Join(s.o.Output, claim.FolderName), Part: sharing.Part, Silence: sharing.Silence,
		Origin: origin.Origin{Program: s.o.Software, Settings: settings},
	})
	if err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	return q, os.MkdirAll(filepath.Dir(s.parts[0].file(s.o.Output)), 0o777)
}

// item is a group as work, in pixels of all its images.
func (s *shard) item(g group) claim.Item {
	item := claim.Item{Name: g.name, Outputs: []string{g.file(s.o.Output)}}
	for _, row := range s.table.Rows[g.from:g.to] {
		for from := range sources {
			path := from.path(row.Match)
			if path == "" {
				continue
			}
			item.Stamp += claim.Stamp(path) + "\n"
			if width, height, err := imagefile.Size(path); err == nil { // what is wrong is said when its turn comes
				item.Work += int64(width) * int64(height)
			}
		}
	}
	return item
}

// all measures what it gets, several groups at a time, until there is a report.
func (s *shard) all(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workers := s.workers()
	return parallel.Each(ctx, workers, workers, func(int) error {
		err := s.queue.Each(s.ready, func(c *claim.Claim) error { return s.do(ctx, c) },
			func() error { return s.queue.Wait(ctx) })
		if err != nil {
			cancel(err) // the others end, too
		}
		return err
	})
}

// ready reports whether an item can be done: the report when all is measured.
func (s *shard) ready(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return i < len(s.parts) || s.measured == len(s.parts)
}

// do does an item, or takes notice of one that another process has done.
func (s *shard) do(ctx context.Context, c *claim.Claim) error {
	if c.Index == len(s.parts) {
		return s.report(ctx, c)
	}
	g := s.parts[c.Index]
	if !c.Elsewhere {
		failed, err := s.measure(ctx, g)
		if err != nil {
			return err
		}
		if err := c.Finish(failed); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measured++
	s.pairs += g.to - g.from
	if s.measured == len(s.parts) {
		if err := s.networks.close(); err != nil { // they take memory that Assemble may need
			return err
		}
	}
	return s.progress("measuring pairs", s.pairs, len(s.table.Rows))
}

// measure measures a group and writes its part. Failed is what went wrong with its images; the results have it, too.
func (s *shard) measure(ctx context.Context, g group) (failed, err error) {
	p := newPart()
	var mu sync.Mutex
	problem := func(where string, err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, errors.New(Problem{where, err.Error()}.String()))
	}
	m := *s.measurer
	m.cache, m.problem = p, problem
	for i := g.from; i < g.to; i++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		of, err := m.pair(&m.rows[i])
		if err != nil {
			return nil, err
		}
		for from, v := range of.images {
			s.m.readable[from][i] = v != nil
		}
	}
	images := [][]wanted{s.wanted(g)}
	for _, n := range s.o.Networks {
		x, err := extract(ctx, n, s.o.Software, s.o.Settings.read(), images, p, s.batch(), func(int) error { return nil })
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, features.ErrNoWeights):
			continue
		case err != nil:
			problem(string(n.Kind), err)
			continue
		}
		for image, err := range x.failed {
			problem(image.path, err)
		}
	}
	return failed, atomicfile.WriteSoon(g.file(s.o.Output), p.file)
}

// report assembles the evaluation, or learns how that went elsewhere.
func (s *shard) report(ctx context.Context, c *claim.Claim) error {
	if c.Elsewhere {
		if c.Failed != "" {
			return fmt.Errorf("another shard could not assemble the evaluation: %s", c.Failed)
		}
		return nil
	}
	err := s.assemble(ctx)
	for errors.Is(err, errInUse) { // by a shard that was taken for dead
		if err := s.queue.Wait(ctx); err != nil {
			return err
		}
		err = s.assemble(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(err, c.Finish(err))
}

// kept are networks that stay open.
type kept struct {
	list []Network
	said map[features.Kind]string // fingerprints, or that there are no weights
	all  []Extractor
}

// keep opens networks. One that can't be opened says so when it is used.
func keep(networks []Network) *kept {
	k := &kept{said: map[features.Kind]string{}}
	for _, n := range networks {
		x, err := n.Open()
		if err != nil {
			k.said[n.Kind] = "none"
			k.list = append(k.list, Network{n.Kind, func() (Extractor, error) { return nil, err }})
			continue
		}
		k.said[n.Kind] = x.Fingerprint()
		k.all = append(k.all, x)
		k.list = append(k.list, Network{n.Kind, func() (Extractor, error) { return borrowed{x}, nil }})
	}
	return k
}

// close closes those that are open.
func (k *kept) close() (err error) {
	for _, x := range k.all {
		err = errors.Join(err, x.Close())
	}
	k.all = nil
	return err
}

// borrowed is an Extractor that its owner closes.
type borrowed struct{ Extractor }

func (borrowed) Close() error { return nil }
