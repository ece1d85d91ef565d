package evaluate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
)

// Options say what is evaluated.
type Options struct {
	Real, Virtual string // folders
	HE            string // folder of the H&E images, for the floor; ""
	Train         string // what the model was trained with, for a warning: see --train; ""
	Against       string // folder of other results to compare with; ""
	Output        string // folder for results and the cache

	PatientPattern string // regular expression: see FindMatches
	Settings       Settings
	Networks       []Network
	Batch          int // images of a network's batch; 0: 8
	Workers        int // pairs that are measured at a time; 0: one per processor

	Software string    // of the results
	Problems []Problem // of a translation before the evaluation
	// Observe receives progress.Stage and progress.Note.
	Observe progress.Observer
}

// The files of an evaluation, in its folder.
const (
	ResultsFile  = "results.json"
	TableFile    = "images.csv"
	MarkdownFile = "results.md"
	cacheFile    = "cache/values.bin"
)

// Run evaluates, and writes results.json, results.md and images.csv into the output folder. It fails without results:
// no pairs, wrong settings, a cache that can't be written, or ctx ended. Whatever else fails is in Results.Problems,
// and the rest is computed. An interrupted run continues when it is started again, also one of shards: see Share.
func Run(ctx context.Context, o Options) (*Results, *Table, error) {
	r, t, err := run(ctx, o)
	if err != nil {
		return nil, nil, fmt.Errorf("evaluate: %w", err)
	}
	return r, t, nil
}

// check reports what is wrong with options before any file is read.
func (o Options) check() error {
	if err := o.Settings.Validate(); err != nil {
		return err
	}
	if o.Output == "" {
		return errors.New("output: no folder is named")
	}
	return nil
}

func run(ctx context.Context, o Options) (_ *Results, _ *Table, err error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	pairs, err := FindMatches(ctx, o.Real, o.Virtual, o.HE, o.PatientPattern)
	if err != nil {
		return nil, nil, err
	}
	cache, err := openCache(filepath.Join(o.Output, cacheFile))
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	if cache.Note != "" {
		if err := o.Observe.Report(progress.Note(cache.Note)); err != nil {
			return nil, nil, err
		}
	}

	e := newEvaluation(o, pairs)
	e.cache = cache
	for _, g := range e.groups() {
		if err := cache.take(g.file(o.Output)); err != nil {
			return nil, nil, err
		}
	}
	if err := e.train(ctx); err != nil {
		return nil, nil, err
	}
	if err := e.measure(ctx); err != nil {
		return nil, nil, err
	}
	if err := e.summarise(ctx); err != nil {
		return nil, nil, err
	}
	if err := e.compare(); err != nil {
		return nil, nil, err
	}
	e.finish()
	return e.results, e.table, e.write()
}

// evaluation is a run in progress.
type evaluation struct {
	o       Options
	cache   *cache
	results *Results
	table   *Table
	half    []int
	m       *measured
	stains  *stain.Separator
	labels  []string // of the rows: those with one label are resampled together

	mu sync.Mutex // of results.Problems
}

func newEvaluation(o Options, pairs *Matches) *evaluation {
	e := &evaluation{o: o, table: &Table{}}
	e.results = &Results{
		Software: o.Software, Created: time.Now().UTC().Truncate(time.Second), Settings: o.Settings,
		Folders:     Folders{Real: o.Real, Virtual: o.Virtual, HE: o.HE, Train: o.Train},
		NotComputed: []NotComputed{}, Warnings: []string{}, Problems: append([]Problem{}, o.Problems...),
		Missing: append([]Missing{}, pairs.Missing...),
	}
	for _, u := range pairs.Unreadable {
		e.results.Problems = append(e.results.Problems, Problem{u.Path, u.Err.Error()})
	}
	for _, p := range pairs.List {
		e.table.Rows = append(e.table.Rows, Row{Match: p})
	}
	// The ceiling's halves are drawn by image: both have all patients, like the real and the virtual set.
	n := len(pairs.List)
	e.half = make([]int, n)
	for _, i := range rng.NewNumPy(o.Settings.Seed).Permutation(n)[:n/2] {
		e.half[i] = 1
	}
	return e
}

func (e *evaluation) problem(where string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := Problem{where, err.Error()}
	if !slices.Contains(e.results.Problems, p) {
		e.results.Problems = append(e.results.Problems, p)
	}
}

func (e *evaluation) progress(stage string, done, total int) error {
	return e.o.Observe.Report(progress.Stage{Name: stage, Done: done, Total: total})
}

func (e *evaluation) warn(format string, args ...any) {
	e.results.Warnings = append(e.results.Warnings, fmt.Sprintf(format, args...))
}

// train warns if the training had the same patients.
func (e *evaluation) train(ctx context.Context) error {
	if e.o.Train == "" {
		return nil
	}
	pattern, err := regexp.Compile(e.o.PatientPattern)
	if err != nil {
		return fmt.Errorf("patient pattern: %w", err)
	}
	s, err := readTrain(ctx, e.o.Train, pattern)
	if err != nil {
		return fmt.Errorf("--train: %w", err)
	}
	list := make([]Match, len(e.table.Rows))
	for i, p := range e.table.Rows {
		list[i] = p.Match
	}
	if w := s.warning(list); w != "" {
		e.warn("%s", w)
	}
	return nil
}

// measure fills the table's hashes and columns.
func (e *evaluation) measure(ctx context.Context) error {
	m, err := e.measurer(ctx)
	if err != nil {
		return err
	}
	n := len(e.table.Rows)
	m.cache, m.problem = e.cache, e.problem
	m.progress = func(done int) error { return e.progress("measuring pairs", done, n) }
	return m.run(ctx, e.m, e.workers(), e.half)
}

// workers is how many pairs are measured at a time.
func (e *evaluation) workers() int {
	if e.o.Workers > 0 {
		return e.o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// measurer decides how pairs are measured, and adds the columns of it to the table.
func (e *evaluation) measurer(ctx context.Context) (*measurer, error) {
	separator, err := e.separator(ctx)
	if err != nil {
		return nil, err
	}
	e.stains = separator
	hed, err := stain.HED()
	if err != nil {
		return nil, err
	}
	used := e.results.Stains
	settings, err := origin.NewSettings(e.o.Settings.read(), struct {
		Measures          string
		Haematoxylin, DAB [3]float64
		PositiveDAB, MPP  float64
		NucleiSignal      nuclei.Signal
	}{
		e.o.Settings.measuresVersion(), used.Haematoxylin, used.DAB, e.o.Settings.PositiveDAB, e.o.Settings.MPP,
		e.o.Settings.NucleiSignal,
	})
	if err != nil {
		return nil, err
	}
	e.m = newMeasured(e.table, e.o.HE != "", e.o.Settings.imageMeasures())
	return &measurer{
		settings: e.o.Settings, separator: separator, hed: hed, rows: e.table.Rows,
		origin: origin.Origin{Program: e.o.Software, Settings: settings},
	}, nil
}

// usable lists the rows with readable images of the real and another set.
func (e *evaluation) usable(from source) []int {
	var rows []int
	for i := range e.table.Rows {
		if e.m.readable[realSet][i] && e.m.readable[from][i] {
			rows = append(rows, i)
		}
	}
	return rows
}

// withFeatures leaves out rows with an image that has no features.
func (e *evaluation) withFeatures(x *extraction, rows [len(candidates)][]int) (with [len(candidates)][]int) {
	for c, candidate := range candidates {
		for _, row := range rows[c] {
			if p := &e.table.Rows[row]; x.has(p.RealHash) && x.has(*candidate.hash(p)) {
				with[c] = append(with[c], row)
			}
		}
	}
	return with
}

// summarise makes the metrics.
func (e *evaluation) summarise(ctx context.Context) error {
	e.unite()
	s := &summary{
		settings: e.o.Settings, table: e.table, measured: e.m, half: e.half, problem: e.problem,
		labels: e.labels, by: e.results.Units.By,
	}
	var rows [len(candidates)][]int
	for c, candidate := range candidates {
		rows[c] = e.usable(candidate.source)
	}
	s.measures(groupPixels)
	s.measures(groupSharpness)
	for _, use := range uses {
		i := slices.IndexFunc(e.o.Networks, func(n Network) bool { return n.Kind == use.kind })
		if i < 0 {
			s.skip(use.metrics, "the network was left out")
			continue
		}
		x, err := e.extract(ctx, e.o.Networks[i])
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, features.ErrNoWeights):
			s.skip(use.metrics, err.Error())
			continue
		case errors.Is(err, errCache):
			return err
		case err != nil:
			s.skip(use.metrics, err.Error())
			e.problem(strings.Join(use.metrics, ", "), err)
			continue
		}
		for p, err := range x.failed {
			e.problem(fmt.Sprintf("%s (%s)", p.path, strings.Join(use.metrics, ", ")), err)
		}
		rows := e.withFeatures(x, rows)
		if err := e.progress("comparing by "+string(use.kind), 0, 0); err != nil {
			return err
		}
		switch use.kind {
		case features.FIDInception:
			s.fid(x, rows)
		case features.Inception:
			s.kid(x, rows)
		case features.ResNet50:
			s.phv(x, rows)
		case features.GigaPath:
			s.retrieval(x, "MRA", rows)
		case features.Phikon:
			s.retrieval(x, "retrieval", rows)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := e.progress("intervals", 0, 0); err != nil {
		return err
	}
	s.stains()
	if e.o.Settings.Seams > 0 {
		if err := e.seams(ctx, s); err != nil {
			return err
		}
	}
	e.results.Metrics, e.results.NotComputed = s.metrics, append(e.results.NotComputed, s.skipped...)
	return ctx.Err()
}

// extract computes the features of all usable images.
func (e *evaluation) extract(ctx context.Context, n Network) (*extraction, error) {
	var images [][]wanted
	distinct := map[string]bool{}
	for _, g := range e.groups() {
		of := e.wanted(g)
		images = append(images, of)
		for _, p := range of {
			distinct[p.hash] = true
		}
	}
	x, err := extract(ctx, n, e.o.Software, e.o.Settings.read(), images, e.cache, e.batch(),
		func(done int) error { return e.progress("features of "+string(n.Kind), done, len(distinct)) })
	if err != nil {
		return nil, err
	}
	used := NetworkUsed{Name: string(n.Kind), Fingerprint: x.fingerprint}
	for hash := range distinct {
		switch k := x.key(hash); {
		case e.cache.fresh(k):
			used.Computed++
		case e.cache.has(k):
			used.Cached++
		}
	}
	e.results.Networks = append(e.results.Networks, used)
	return x, nil
}

// batch is how many images go through a network together.
func (e *evaluation) batch() int {
	if e.o.Batch > 0 {
		return e.o.Batch
	}
	return 8
}
