package experiments

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/train"
)

// Pairs are a run's image pairs.
type Pairs struct {
	Train, Validation []data.Pair
}

// openPairs finds the pairs, divides them and makes the loader.
func (e *Experiment) openPairs(ctx context.Context) error {
	c := e.Config.Data
	set, err := data.Open(ctx, c.Location())
	if err != nil {
		return fmt.Errorf("data.dir: %w", err)
	}
	if err := e.divide(set.Pairs); err != nil {
		return err
	}
	if c.MaxPairs > 0 && len(e.Pairs.Train) > c.MaxPairs {
		e.Pairs.Train = e.Pairs.Train[:c.MaxPairs]
	}
	if n := len(e.Pairs.Train); c.Batch > n {
		return fmt.Errorf("data.batch is %d: there are %d pairs to learn from, want as many or fewer", c.Batch, n)
	}
	l, err := data.NewLoader(&data.Dataset{Pairs: e.Pairs.Train}, data.LoaderOptions{
		BatchSize: c.Batch, Crop: c.Crop, Augment: c.Augment, Shuffle: true, Seed: e.Config.Train.Seed, Corrupt: c.Corrupt,
		Workers: c.Workers, ReadAhead: c.ReadAhead, Memory: int64(c.Memory) << 20,
	})
	if err != nil {
		return err
	}
	e.source = &batches{loader: l}
	if n := e.source.Len(); e.Config.Train.Accumulate > n {
		return fmt.Errorf("train.accumulate is %d: an epoch has %d micro-steps of %d pairs, want as many or fewer", e.Config.Train.Accumulate, n, c.Batch)
	}
	return nil
}

// divide chooses the pairs for training and for validation.
func (e *Experiment) divide(pairs []data.Pair) (err error) {
	c := e.Config.Data
	switch {
	case c.ValidationFraction > 0:
		of := slices.DeleteFunc(slices.Clone(pairs), func(p data.Pair) bool { return c.Split != "" && p.Split != "" && p.Split != c.Split })
		e.Pairs.Train, e.Pairs.Validation, err = data.SplitByPatient(of, c.ValidationFraction, e.Config.Train.Seed)
		if err != nil {
			return fmt.Errorf("data.validation-fraction: %w", err)
		}
		return nil
	case !slices.ContainsFunc(pairs, func(p data.Pair) bool { return p.Split != "" }): // a layout without splits
		e.Pairs.Train = pairs
	default:
		counts := map[string]int{}
		for _, p := range pairs {
			counts[p.Split]++
			if c.Split == "" || p.Split == c.Split {
				e.Pairs.Train = append(e.Pairs.Train, p)
			}
			if c.ValidationSplit != "" && p.Split == c.ValidationSplit {
				e.Pairs.Validation = append(e.Pairs.Validation, p)
			}
		}
		if len(e.Pairs.Train) == 0 {
			return fmt.Errorf("data.split is %q: the pairs are in %v", c.Split, counts)
		}
	}
	e.noteShared()
	return nil
}

// noteShared says when patients are in both parts: a validation then shows more than a new patient would.
func (e *Experiment) noteShared() {
	shared := data.SharedPatients(slices.Concat(e.Pairs.Train, e.Pairs.Validation))
	if len(shared) == 0 {
		return
	}
	e.Notes = append(e.Notes, fmt.Sprintf("%d slides, such as %s, are in both %s and %s: scores of the validation flatter the model; "+
		"data.validation-fraction divides by slide", len(shared), shared[0].Patient, e.Config.Data.Split, e.Config.Data.ValidationSplit))
}

// inputs name what the examples depend on beside the section train. A run that is resumed must have the same.
func (e *Experiment) inputs() map[string]string {
	c := e.Config.Data
	hash := sha256.New()
	for _, p := range e.Pairs.Train {
		fmt.Fprintf(hash, "%s %s %d %d\n", filepath.Base(p.HE.Path), filepath.Base(p.IHC.Path), p.Width, p.Height)
	}
	return map[string]string{
		"pairs":        fmt.Sprintf("%d, names %x", len(e.Pairs.Train), hash.Sum(nil)[:6]),
		"data.crop":    strconv.Itoa(c.Crop),
		"data.augment": strconv.FormatBool(c.Augment),
		"data.batch":   strconv.Itoa(c.Batch),
		"data.corrupt": string(c.Corrupt),
		"model.prompt": e.Config.Model.Prompt,
	}
}

// batches is a train.PairSource: the batches of a loader, made ahead as long as they are asked for in a row.
type batches struct {
	loader *data.Loader
	stream *data.Stream
	next   int // the stream's next step
}

// Len is the number of batches in an epoch.
func (b *batches) Len() int { return b.loader.Steps() }

// Pairs returns the batch of a position.
func (b *batches) Pairs(ctx context.Context, at train.Position) (train.Pairs, error) {
	step := at.Epoch*b.loader.Steps() + at.Index
	if b.stream == nil || step != b.next {
		b.close()
		// The stream outlives the call; close ends it.
		b.stream = b.loader.Stream(context.WithoutCancel(ctx), step)
	}
	batch, err := b.stream.Next(ctx)
	if err != nil {
		b.close()
		return train.Pairs{}, err
	}
	b.next = step + 1
	return pairsOf(batch), nil
}

func (b *batches) close() {
	if b.stream != nil {
		b.stream.Close()
		b.stream = nil
	}
}

func pairsOf(b *data.Batch) train.Pairs {
	return train.Pairs{N: b.N, Height: b.Height, Width: b.Width, HE: b.HEPixels, IHC: b.IHCPixels, Names: b.Names}
}

// fixed are the first validation pairs, one at a time, cut from the middle: the same each time.
func (e *Experiment) fixed(ctx context.Context, n int) ([]*data.Batch, error) {
	pairs := e.Pairs.Validation
	if len(pairs) == 0 {
		c := e.Config.Data
		return nil, fmt.Errorf("no pairs to validate with in the split %q: set data.validation-split or data.validation-fraction, or train.validate-every to 0", c.ValidationSplit)
	}
	pairs = spread(pairs, n)
	l, err := data.NewLoader(&data.Dataset{Pairs: pairs}, data.LoaderOptions{BatchSize: 1, Crop: e.crop(pairs), Memory: int64(e.Config.Data.Memory) << 20})
	if err != nil {
		return nil, err
	}
	var list []*data.Batch
	var errs []error
	for i := range pairs {
		b, err := l.Batch(ctx, i)
		list, errs = append(list, b), append(errs, err)
	}
	return list, errors.Join(errs...)
}

// crop is the side of what is cut from validation pairs; where training takes whole images, these may be of several sizes.
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

// spread takes n pairs at even distances, so that they are of many slides, or all.
func spread(pairs []data.Pair, n int) []data.Pair {
	if len(pairs) <= n {
		return pairs
	}
	list := make([]data.Pair, n)
	for i := range list {
		list[i] = pairs[i*len(pairs)/n]
	}
	return list
}

// describe is a line on where the pairs are from.
func describe(c configs.Data, p Pairs) string {
	place := c.Dir
	if place == "" {
		place = strings.Join([]string{c.HE, c.IHC}, " and ")
	}
	return fmt.Sprintf("%d pairs for training, %d for validation, in %s", len(p.Train), len(p.Validation), place)
}
