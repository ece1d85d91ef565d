package experiments

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/experiments/registration"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/train"
)

// Pairs are a run's image pairs.
type Pairs struct {
	Train, Validation []data.Pair
}

// openPairs finds the pairs, splits them and makes the loader.
func (e *Experiment) openPairs(ctx context.Context) error {
	c := e.Config.Data
	e.splits = map[string]int{}
	open := e.openSets
	if len(c.Sets) == 0 {
		open = e.openOne
	}
	if err := open(ctx); err != nil {
		return err
	}
	if err := e.noteLeaks(); err != nil {
		return err
	}
	if n := len(e.Pairs.Train); c.Batch > n {
		return fmt.Errorf("data.batch is %d: there are %d pairs to learn from, want as many or fewer", c.Batch, n)
	}
	shares, err := e.shares()
	if err != nil {
		return err
	}
	l, err := data.NewLoader(&data.Dataset{Pairs: e.Pairs.Train}, data.LoaderOptions{
		BatchSize: c.Batch, Crop: c.Crop, Augment: c.Augment, Shuffle: true, Seed: e.Config.Train.Seed, Shares: shares,
		Corrupt: c.Corrupt, Read: c.read(), Workers: c.Workers, ReadAhead: c.ReadAhead, Memory: int64(c.Memory) << 20,
	})
	if err != nil {
		return e.dataError(err, "data")
	}
	e.source = &batches{loader: l, every: 1, labels: e.labelsOf}
	if e.job != nil {
		e.source.every = e.job.Size()
	}
	if n := e.source.Len(); e.Config.Train.Accumulate > n {
		return fmt.Errorf("train.accumulate is %d: an epoch has %d micro-steps of %d pairs, want as many or fewer",
			e.Config.Train.Accumulate, n, c.Batch)
	}
	return e.openContents(ctx)
}

// openOne opens the only data set.
func (e *Experiment) openOne(ctx context.Context) error {
	pairs, err := e.openSet(ctx, e.Config.Data.Location, "data")
	if err == nil {
		e.Pairs, err = e.divide(pairs)
	}
	return err
}

// openSet finds the pairs of a location, whose keys begin with a section.
func (e *Experiment) openSet(ctx context.Context, loc data.Location, section string) ([]data.Pair, error) {
	c := e.Config.Data
	set, err := data.Open(ctx, loc, c.Corrupt)
	if err != nil {
		return nil, e.dataError(err, section)
	}
	e.Notes = append(e.Notes, set.Notes...)
	if set.Skipped.Pairs > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("left out: %s (data.corrupt is %s)", set.Skipped, c.Corrupt))
		e.unreadable = e.unreadable.Plus(set.Skipped)
	}
	return e.aligned(ctx, set.Pairs)
}

// aligned leaves out pairs that are shifted by more than data.max-shift. Those whose shift can't be found are kept:
// they may just have little tissue.
func (e *Experiment) aligned(ctx context.Context, pairs []data.Pair) ([]data.Pair, error) {
	c := e.Config.Data
	if c.MaxShift == 0 {
		return pairs, nil
	}
	list, err := registration.CoarsePairs(ctx, pairs, c.read(), nil)
	if err != nil {
		return nil, err
	}
	var near []data.Pair
	unknown := 0
	for _, r := range list {
		switch {
		case r.Err != nil:
			unknown++
		case r.Shift() > c.MaxShift:
			continue
		}
		near = append(near, r.Pair)
	}
	e.Notes = append(e.Notes, fmt.Sprintf("left out: %d of %d pairs, whose IHC is shifted by more than %g pixels "+
		"(data.max-shift); kept, as their shift can't be found: %d", len(pairs)-len(near), len(pairs), c.MaxShift, unknown))
	if len(near) == 0 {
		return nil, fmt.Errorf("data.max-shift is %g: all pairs are shifted by more", c.MaxShift)
	}
	return near, nil
}

// dataError names the key that an error of package data is about, and where its value came from. section is that of the
// location: data, or a set's.
func (e *Experiment) dataError(err error, section string) error {
	c := e.Config.Data
	keys, loc := []string{section + ".dir"}, c.Location
	if loc.Layout == data.Folders && (loc.HE != "" || loc.IHC != "") {
		keys = []string{section + ".he", section + ".ihc"}
	}
	var field *option.KeyError
	if errors.As(err, &field) {
		of := section
		if !slices.Contains([]string{"dir", "layout", "he", "ihc", "suffixes", "patient-pattern"}, field.Key) {
			of = "data"
		}
		keys, err = []string{of + "." + field.Key}, fmt.Errorf("%s.%w", of, err)
	} else {
		err = fmt.Errorf("%s: %w", strings.Join(keys, " and "), err)
	}
	key, _, _ := strings.Cut(keys[0], "[")
	for _, v := range e.values {
		if v.Key == key && v.Origin != configs.Default {
			return fmt.Errorf("%s: %w", v.Origin, err)
		}
	}
	return err
}

// divide chooses the pairs for training and for validation.
func (e *Experiment) divide(pairs []data.Pair) (part Pairs, err error) {
	c := e.Config.Data
	splits := map[string]bool{}
	for _, p := range pairs {
		e.splits[p.Split]++
		splits[p.Split] = true
	}
	switch {
	case c.ValidationFraction > 0:
		of := slices.DeleteFunc(slices.Clone(pairs), func(p data.Pair) bool {
			return c.Split != "" && p.Split != "" && p.Split != c.Split
		})
		part.Train, part.Validation, err = data.SplitByPatient(of, c.ValidationFraction, e.Config.Train.Seed)
		if err != nil {
			return part, fmt.Errorf("data.validation-fraction: %w", err)
		}
	case len(splits) == 1 && splits[""]: // a layout without splits
		part.Train = slices.Clone(pairs)
	default:
		for _, p := range pairs {
			if c.Split == "" || p.Split == c.Split {
				part.Train = append(part.Train, p)
			}
			if c.ValidationSplit != "" && p.Split == c.ValidationSplit {
				part.Validation = append(part.Validation, p)
			}
		}
		if len(part.Train) == 0 {
			return part, fmt.Errorf("data.split is %q: there are %s", c.Split, e.splitCounts())
		}
	}
	used := map[string]bool{}
	for _, p := range slices.Concat(part.Train, part.Validation) {
		used[p.Marker+p.HE.Path] = true
	}
	if unused := len(pairs) - len(used); unused > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("%d of %d pairs are in neither part: there are %s",
			unused, len(pairs), e.splitCounts()))
	}
	if c.MaxPairs > 0 {
		seen := map[string]int{}
		part.Train = slices.DeleteFunc(part.Train, func(p data.Pair) bool {
			seen[p.Marker]++
			return seen[p.Marker] > c.MaxPairs
		})
	}
	return part, nil
}

// splitCounts counts the pairs of each split.
func (e *Experiment) splitCounts() string {
	var list []string
	for _, split := range slices.Sorted(maps.Keys(e.splits)) {
		if split == "" {
			list = append(list, fmt.Sprintf("%d pairs without a split", e.splits[split]))
		} else {
			list = append(list, fmt.Sprintf("%d pairs of the split %q", e.splits[split], split))
		}
	}
	return strings.Join(list, ", ")
}

// noteLeaks notes pairs and patients that training and validation share, for they flatter the model, or that there are
// none, or that it can't be known. With several sets, of which one may train what another validates, they are an error.
func (e *Experiment) noteLeaks() error {
	if len(e.Pairs.Validation) == 0 {
		return nil
	}
	training := map[string]bool{}
	var all []data.Pair
	patients := [2]map[string]bool{{}, {}}
	unknown, twice := 0, 0
	for i, part := range [][]data.Pair{e.Pairs.Train, e.Pairs.Validation} {
		for _, p := range part {
			switch {
			case i == 0:
				training[p.HE.Path] = true
			case training[p.HE.Path]:
				twice++
			}
			if p.Patient == "" {
				unknown++
			} else {
				patients[i][p.Patient] = true
			}
			p.Split = [2]string{"training", "validation"}[i]
			all = append(all, p)
		}
	}
	const flatter = "scores of the validation flatter the model"
	if twice > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("%d pairs of the validation are in the training too: %s", twice, flatter))
	}
	if shared := data.SharedPatients(all); len(shared) > 0 && len(e.Config.Data.Sets) > 0 {
		return e.leak(shared)
	} else if len(shared) > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("patients or slides (%d, such as %s) are in both training and validation: %s; "+
			"data.validation-fraction divides by patient", len(shared), shared[0].Patient, flatter))
	} else if unknown < len(all) {
		e.Notes = append(e.Notes, fmt.Sprintf("no known patient or slide is in both training (%d) and validation (%d)",
			len(patients[0]), len(patients[1])))
	}
	if unknown > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("the patients of %d of %d pairs are unknown, so training and validation may "+
			"share them: data.patient-pattern finds them in names, the column patient of a list names them", unknown, len(all)))
	}
	return nil
}

// inputs name what the examples depend on, apart from the section train. A resumed run must have the same.
func (e *Experiment) inputs() map[string]string {
	c := e.Config.Data
	hash := sha256.New()
	for _, p := range e.Pairs.Train {
		fmt.Fprintf(hash, "%s %s %d %d\n", filepath.Base(p.HE.Path), filepath.Base(p.IHC.Path), p.Width, p.Height)
	}
	inputs := map[string]string{
		"pairs":        fmt.Sprintf("%d, names %x", len(e.Pairs.Train), hash.Sum(nil)[:6]),
		"data.crop":    strconv.Itoa(c.Crop),
		"data.augment": strconv.FormatBool(c.Augment),
		"data.batch":   strconv.Itoa(c.Batch),
		"data.corrupt": string(c.Corrupt),
		"model.prompt": e.Config.Model.Prompt,
		"model.base":   e.base,
		"model.unet":   e.Config.Model.UNet,
	}
	if sets := e.setsText(); sets != "" {
		inputs["data.sets"] = sets
	}
	return inputs
}

// batches is a train.BatchSource: the batches of a loader, made ahead while they are asked for in order.
type batches struct {
	loader *data.Loader
	labels func(markers []string) []int
	every  int // the distance of the steps that are asked for: of several processes each has its part
	stream *data.Stream
	next   int // the stream's next step
}

// Len is the number of batches in an epoch.
func (b *batches) Len() int { return b.loader.Steps() }

// Batch returns that of a position.
func (b *batches) Batch(ctx context.Context, at train.Position) (train.Batch, error) {
	step := at.Epoch*b.loader.Steps() + at.Index
	if b.stream == nil || step != b.next {
		b.close()
		// The stream outlives the call; close ends it.
		b.stream = b.loader.StreamEvery(context.WithoutCancel(ctx), step, b.every)
	}
	batch, err := b.stream.Next(ctx)
	if err != nil {
		b.close()
		return train.Batch{}, err
	}
	b.next = step + b.every
	return pairsOf(batch, b.labels), nil
}

// Size is what the batch of a position has.
func (b *batches) Size(at train.Position) (n, height, width int) {
	return b.loader.Size(at.Epoch*b.loader.Steps() + at.Index)
}

func (b *batches) close() {
	if b.stream != nil {
		b.stream.Close()
		b.stream = nil
	}
}

func pairsOf(b *data.Batch, labels func(markers []string) []int) train.Batch {
	return train.Batch{
		N: b.N, Height: b.Height, Width: b.Width, HE: b.HEPixels, IHC: b.IHCPixels, Names: b.Names,
		Labels: labels(b.Markers),
	}
}

// fixed returns n validation pairs, one a batch, cropped centrally.
func (e *Experiment) fixed(ctx context.Context, n int) ([]*data.Batch, error) {
	if len(e.Pairs.Validation) == 0 {
		return nil, fmt.Errorf("no pairs to validate with, for data.validation-split is %q, and there are %s: "+
			"set data.validation-split or data.validation-fraction, or train.validate-every to 0",
			e.Config.Data.ValidationSplit, e.splitCounts())
	}
	pairs, err := e.chosen(ctx, n)
	if err != nil {
		return nil, err
	}
	l, err := e.single(pairs, e.crop(pairs))
	if err != nil {
		return nil, err
	}
	var list []*data.Batch
	for i := range pairs {
		b, err := l.Batch(ctx, i)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// single loads pairs one at a time.
func (e *Experiment) single(pairs []data.Pair, crop int) (*data.Loader, error) {
	c := e.Config.Data
	l, err := data.NewLoader(&data.Dataset{Pairs: pairs}, data.LoaderOptions{
		BatchSize: 1, Crop: crop, Read: c.read(), Memory: int64(c.Memory) << 20,
	})
	if err != nil {
		return nil, e.dataError(err, "data")
	}
	return l, nil
}

// chosen returns n evenly spaced validation pairs; under data.corrupt: skip the next readable one replaces an
// unreadable one.
func (e *Experiment) chosen(ctx context.Context, n int) ([]data.Pair, error) {
	pairs := e.Pairs.Validation
	places := spread(len(pairs), n)
	if e.Config.Data.Corrupt == data.CorruptSkip {
		var err error
		if places, err = e.readable(ctx, pairs, places); err != nil {
			return nil, err
		}
	}
	var list []data.Pair
	for _, at := range places {
		list = append(list, pairs[at])
	}
	return inTurns(list), nil
}

// readable replaces the places of unreadable pairs, which it counts in e.unreadable.
func (e *Experiment) readable(ctx context.Context, pairs []data.Pair, places []int) ([]int, error) {
	used := map[int]bool{} // or known to be unreadable
	for _, at := range places {
		used[at] = true
	}
	next := func(at int) (int, bool) {
		for i := range pairs {
			if j := (at + i) % len(pairs); !used[j] {
				return j, true
			}
		}
		return 0, false
	}
	var list []int
	var bad data.Skipped
	for _, at := range places {
		for more := true; more; at, more = next(at) {
			used[at] = true
			l, err := e.single(pairs[at:at+1], 0)
			if err != nil {
				return nil, err
			}
			if _, err = l.Batch(ctx, 0); err == nil {
				list = append(list, at)
				break
			}
			files := l.Stats().Skipped.Files
			if len(files) == 0 { // ctx ended
				return nil, err
			}
			bad = bad.Plus(data.Skipped{Pairs: 1, Files: files})
		}
	}
	slices.Sort(list)
	e.unreadable = e.unreadable.Plus(bad)
	if len(list) == 0 {
		return nil, fmt.Errorf("none of the pairs to validate with can be read: %s", bad)
	}
	return list, nil
}

// crop is the side of the crops of validation pairs: training's, or for whole images the smallest side.
func (e *Experiment) crop(pairs []data.Pair) int {
	if e.Config.Data.Crop > 0 {
		return e.Config.Data.Crop
	}
	side := pairs[0].Width
	for _, p := range pairs {
		side = min(side, p.Width, p.Height)
	}
	k := e.model.VAE.Factor()
	return side / k * k
}

// spread returns n evenly spaced places of count, or all, so that the pairs are of many slides.
func spread(count, n int) []int {
	n = min(count, n)
	list := make([]int, n)
	for i := range list {
		list[i] = i * count / n
	}
	return list
}

// describe returns a line about the pairs.
func (e *Experiment) describe() string {
	place := e.Config.Data.Location.String()
	if sets := e.setsText(); sets != "" {
		place = plural(len(e.Config.Data.Sets), "set") + ": " + sets
	}
	return fmt.Sprintf("%d pairs for training, %d for validation, in %s", len(e.Pairs.Train), len(e.Pairs.Validation),
		place)
}
