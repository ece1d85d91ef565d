package data

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/parallel"
)

// Corrupt says what happens when an image can't be decoded.
type Corrupt string

// The policies. The next readable pair of the epoch takes the place of a skipped one, so that batches keep their size.
const (
	CorruptError Corrupt = "error"
	CorruptSkip  Corrupt = "skip"
)

// LoaderOptions say what batches consist of and what making them may take.
type LoaderOptions struct {
	BatchSize int
	Crop      int     // side in pixels; 0: whole images, all of one size
	Augment   bool    // random crop, flip and rotation; else the crop is from the middle
	Shuffle   bool    // a new order each epoch
	DropLast  bool    // leave out the last batch of an epoch if it is short
	Seed      int64   // of order and augmentation
	Shares    []Share // of consecutive pairs, which make up the data set; nil: each pair comes once an epoch
	Corrupt   Corrupt // CorruptError by default

	Workers   int // pairs decoded at a time; 0: one a processor
	ReadAhead int // batches that a Stream makes ahead; 0: 2

	// Memory is how many bytes may be in use for images being decoded, batches made ahead, and a cache of decoded images,
	// which gets what the others leave; 0: 1 GiB. Batches that were handed out are their owner's.
	Memory int64

	Read imagefile.Options
}

// Loader makes batches of a data set, for several goroutines. Only a Stream starts goroutines that outlive a call.
type Loader struct {
	pairs    []Pair
	o        LoaderOptions
	steps    int // an epoch
	reserved int64
	slots    chan struct{} // one for each pair that may be decoded at a time
	cache    *cache

	lock    sync.Mutex
	decoded int64
	skipped map[int]bool // pairs, by their places in the data set
	corrupt map[string]error
}

// Batch is a batch of N pairs.
type Batch struct {
	Step, Epoch   int
	N             int
	Height, Width int
	HEPixels      []uint8 // [N,H,W,3], RGB
	IHCPixels     []uint8
	Indices       []int // places in the data set
	Names         []string
	Markers       []string       // Pair.Marker
	Augmentations []Augmentation // Size 0 for whole images
}

// bytesPerPixel is the size of a pixel in a batch: two images of three values.
const bytesPerPixel = 2 * 3

// decodeBytesPerPixel bounds decoding: 16-bit RGBA, or a progressive 4:4:4 JPEG's coefficients, planes and pixels.
const decodeBytesPerPixel = 12

// NewLoader checks the options against the data set. All images that are too small are in the error.
func NewLoader(dataset *Dataset, o LoaderOptions) (*Loader, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.ReadAhead == 0 {
		o.ReadAhead = 2
	}
	if o.Memory == 0 {
		o.Memory = 1 << 30
	}
	if o.Corrupt == "" {
		o.Corrupt = CorruptError
	}
	n := len(dataset.Pairs)
	switch {
	case n == 0:
		return nil, errors.New("data: the loader has no pairs")
	case o.BatchSize < 1:
		return nil, option.Wrong("batch", "%d: want 1 or more", o.BatchSize)
	case o.Workers < 1:
		return nil, option.Wrong("workers", "%d: want 0 or more", o.Workers)
	case o.ReadAhead < 1:
		return nil, option.Wrong("read-ahead", "%d: want 0 or more", o.ReadAhead)
	case o.Memory < 1:
		return nil, option.Wrong("memory-mib", "%d bytes: want 0 or more", o.Memory)
	case o.Crop < 0:
		return nil, option.Wrong("crop", "%d: want 0 or more", o.Crop)
	case o.Corrupt != CorruptError && o.Corrupt != CorruptSkip:
		return nil, option.Wrong("corrupt", "%q: want %s or %s", o.Corrupt, CorruptError, CorruptSkip)
	case o.Crop == 0 && o.Augment:
		return nil, &option.KeyError{Key: "crop", Err: ErrAugmentWhole}
	case o.Shares != nil && pairsOf(o.Shares) != n:
		return nil, fmt.Errorf("data: shares of %d pairs: the loader has %d", pairsOf(o.Shares), n)
	case o.DropLast && n < o.BatchSize:
		return nil, fmt.Errorf("data: %d pairs are less than a batch of %d, and short batches are dropped", n, o.BatchSize)
	}
	l := &Loader{
		pairs: dataset.Pairs, o: o, steps: n / o.BatchSize, slots: make(chan struct{}, o.Workers),
		skipped: map[int]bool{}, corrupt: map[string]error{},
	}
	if n%o.BatchSize != 0 && !o.DropLast {
		l.steps++
	}
	if err := l.checkSizes(); err != nil {
		return nil, err
	}
	largest, width, height := 0, o.Crop, o.Crop
	if o.Crop == 0 {
		width, height = l.pairs[0].Width, l.pairs[0].Height
	}
	for _, p := range l.pairs {
		pixels := p.Width * p.Height
		if p.HE.Half != whole {
			pixels *= 2
		}
		largest = max(largest, pixels)
	}
	l.reserved = int64(o.Workers)*int64(largest)*decodeBytesPerPixel +
		int64(o.ReadAhead+1)*int64(min(o.BatchSize, n))*int64(width)*int64(height)*bytesPerPixel
	if l.reserved > o.Memory {
		return nil, option.Wrong("memory-mib", "decoding %d pairs at a time and %d batches of %d take %d bytes, "+
			"more than the limit of %d: raise it, or use fewer workers, less read-ahead or smaller batches",
			o.Workers, o.ReadAhead+1, min(o.BatchSize, n), l.reserved, o.Memory)
	}
	l.cache = newCache(o.Memory - l.reserved)
	return l, nil
}

// ErrAugmentWhole is the error of an augmentation without a crop.
var ErrAugmentWhole = errors.New("is 0, which takes whole images, but augmentation draws crops: " +
	"set a crop, or data.augment to false")

// checkSizes reports the images that are too small for the crop or, without one, differ in size.
func (l *Loader) checkSizes() error {
	small, other := map[[2]int]int{}, map[[2]int]int{} // pairs by width and height
	example, count := "", 0
	first := &l.pairs[0]
	for _, p := range l.pairs {
		size := [2]int{p.Width, p.Height}
		switch {
		case l.o.Crop > p.Width || l.o.Crop > p.Height:
			small[size]++
		case l.o.Crop == 0 && size != [2]int{first.Width, first.Height}:
			other[size]++
		default:
			continue
		}
		if count++; count == 1 {
			example = p.HE.String()
		}
	}
	switch {
	case len(small) > 0:
		return option.Wrong("crop", "%d: %d of %s are smaller: %s; the first is %s. Set a smaller crop",
			l.o.Crop, count, plural(len(l.pairs), "pair"), among(sizes(small)), example)
	case len(other) > 0:
		return option.Wrong("crop", "0 takes whole images, which must have one size: %s has %d×%d pixels, "+
			"but %d of %s have another: %s; the first is %s. Set a crop",
			first.HE, first.Width, first.Height, count, plural(len(l.pairs), "pair"), among(sizes(other)), example)
	}
	return nil
}

// sizes lists counts by width and height: "2 of 6×6".
func sizes(counts map[[2]int]int) (list []string) {
	less := func(a, b [2]int) int { return slices.Compare(a[:], b[:]) }
	for _, size := range slices.SortedFunc(maps.Keys(counts), less) {
		list = append(list, fmt.Sprintf("%d of %d×%d", counts[size], size[0], size[1]))
	}
	return list
}

// Steps is how many batches an epoch has.
func (l *Loader) Steps() int { return l.steps }

// Size is the number of pairs in the batch of a step, and the size of their images.
func (l *Loader) Size(step int) (n, height, width int) {
	n = min(l.o.BatchSize, len(l.pairs)-step%l.steps*l.o.BatchSize)
	if l.o.Crop == 0 {
		return n, l.pairs[0].Height, l.pairs[0].Width
	}
	return n, l.o.Crop, l.o.Crop
}

// Batch makes the batch of a step, counted from 0 over all epochs. The same step gives the same batch always.
func (l *Loader) Batch(ctx context.Context, step int) (*Batch, error) {
	if step < 0 {
		return nil, fmt.Errorf("data: step %d; steps begin with 0", step)
	}
	epoch, first := step/l.steps, step%l.steps*l.o.BatchSize
	order := l.order(epoch)
	b := &Batch{Step: step, Epoch: epoch}
	b.N, b.Height, b.Width = l.Size(step)
	values := 3 * b.Height * b.Width
	b.HEPixels, b.IHCPixels = make([]uint8, b.N*values), make([]uint8, b.N*values)
	b.Indices, b.Augmentations = make([]int, b.N), make([]Augmentation, b.N)
	b.Names, b.Markers = make([]string, b.N), make([]string, b.N)

	err := parallel.Each(ctx, b.N, b.N, func(i int) error {
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return l.fill(ctx, b, i, order, first+i)
	})
	if err != nil {
		return nil, fmt.Errorf("data: batch of step %d: %w", step, err)
	}
	return b, nil
}

// fill makes pair i of a batch from the pair at a place in the order or, under CorruptSkip, the next readable one.
func (l *Loader) fill(ctx context.Context, b *Batch, i int, order []drawn, place int) error {
	var first error
	for range order {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d := order[place%len(order)]
		err := l.pair(b, i, d)
		if err == nil || l.o.Corrupt == CorruptError {
			return err
		}
		if first == nil {
			first = err
		}
		place++
		l.lock.Lock()
		l.skipped[d.index] = true
		l.lock.Unlock()
	}
	return fmt.Errorf("none of the %d pairs can be read; the first: %w", len(order), first)
}

func (l *Loader) pair(b *Batch, i int, d drawn) error {
	index, pair := d.index, &l.pairs[d.index]
	var a Augmentation
	switch {
	case l.o.Augment:
		a = drawAugmentation(l.o.Seed, d.turn, index, pair.Width, pair.Height, l.o.Crop)
	case l.o.Crop > 0:
		a = Augmentation{Top: (pair.Height - l.o.Crop) / 2, Left: (pair.Width - l.o.Crop) / 2, Size: l.o.Crop}
	}
	values := 3 * b.Height * b.Width
	at := i * values
	for _, side := range [2]struct {
		source Source
		pix    []uint8
	}{
		{pair.HE, b.HEPixels[at : at+values]},
		{pair.IHC, b.IHCPixels[at : at+values]},
	} {
		img, err := l.image(side.source, pair)
		if err != nil {
			l.lock.Lock()
			l.corrupt[side.source.Path] = err
			l.lock.Unlock()
			return err
		}
		if a.Size == 0 {
			copy(side.pix, img.Pix)
		} else if err := a.Apply(side.pix, img); err != nil {
			return err
		}
	}
	b.Indices[i], b.Names[i], b.Markers[i], b.Augmentations[i] = index, pair.Name, pair.Marker, a
	return nil
}

func (l *Loader) image(source Source, pair *Pair) (*imagefile.Image, error) {
	file := l.cache.get(source.Path)
	if file == nil {
		var err error
		if file, err = imagefile.Read(source.Path, l.o.Read); err != nil {
			return nil, err
		}
		l.lock.Lock()
		l.decoded++
		l.lock.Unlock()
		l.cache.put(source.Path, file)
	}
	img, err := source.of(file)
	if err != nil {
		return nil, err
	}
	if img.Width != pair.Width || img.Height != pair.Height {
		return nil, fmt.Errorf("%s: %d×%d pixels; there were %d×%d when the data set was opened",
			source, img.Width, img.Height, pair.Width, pair.Height)
	}
	return img, nil
}

// Stats tell what a loader did and holds.
type Stats struct {
	Decoded   int64   // files
	CacheHits int64   // images that needed no decoding
	Skipped   Skipped // pairs that others stood in for, each once, however often an epoch came to it

	MemoryLimit    int64 // bytes
	MemoryReserved int64 // of these, for decoding and batches made ahead
	MemoryCached   int64 // of these, in decoded images now
}

// Stats returns the state of now.
func (l *Loader) Stats() Stats {
	s := Stats{MemoryLimit: l.o.Memory, MemoryReserved: l.reserved}
	l.cache.lock.Lock()
	s.CacheHits, s.MemoryCached = l.cache.hits, l.cache.bytes
	l.cache.lock.Unlock()
	l.lock.Lock()
	defer l.lock.Unlock()
	s.Decoded, s.Skipped.Pairs = l.decoded, len(l.skipped)
	for path, err := range l.corrupt {
		s.Skipped.add(FileError{path, err})
	}
	return s
}
