package features

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model/encoders"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/finite"
	"github.com/histdist/histdist/internal/parallel"
)

// DefaultBatch is the default of Options.Batch.
const DefaultBatch = 8

// batchPixels is the size of image that Options.Batch is meant for. If a network reads images at their own size, it
// reads fewer of larger ones at once, to limit memory.
const batchPixels = 512 * 512

// Options say how a network runs.
type Options struct {
	Device      device.Device // stays the caller's
	Precision   vm.Precision  // vm.Float32 unless said otherwise, as in the official evaluation
	Batch       int           // images read at once, fewer if larger than 512×512 pixels; 0: DefaultBatch
	MemoryLimit int64         // bytes for a compiled network; 0: what the device has
}

// Extractor is an open network. It may be used by several goroutines; their calls take turns.
type Extractor struct {
	kind        Kind
	recipe      *recipe
	options     Options
	store       *weights.Store
	master      network // never compiled; the compiled ones share its folded values
	fingerprint string
	path        string

	mu       sync.Mutex
	programs []*program // the one used last first
	closed   bool
}

// keptPrograms is how many compiled networks an extractor keeps: for full batches, the remainder, and another size.
const keptPrograms = 3

// size is what a network is compiled for.
type size struct{ batch, height, width int }

// program is a network compiled for a size.
type program struct {
	*encoders.Network // pixels [N,H,W,3] → rows [N,Dim]
	size              size
	params            gorgonia.Nodes
}

// preparation is part of fingerprints. It is incremented when the preparation of images changes.
const preparation = 1

// Open opens a network's published weights: a .pth or .bin file of torch.save, a .safetensors file with the same
// tensors, or a folder with such a file under its published name. Path "" is where PyTorch and Hugging Face keep
// downloads. Phikon also needs config.json and preprocessor_config.json next to the weights.
//
// If weights aren't found the error wraps ErrNoWeights and names the file, the places, and the page that has it. For a
// file of another network it lists what is missing.
func Open(kind Kind, path string, o Options) (*Extractor, error) {
	r, err := kind.recipe()
	if err != nil {
		return nil, err
	}
	return open(kind, r, path, o)
}

func open(kind Kind, r *recipe, path string, o Options) (_ *Extractor, err error) {
	if o.Device == nil {
		return nil, fmt.Errorf("open %s: no device", r.title)
	}
	if o.Batch == 0 {
		o.Batch = DefaultBatch
	}
	if o.Batch < 0 {
		return nil, fmt.Errorf("open %s: batch of %d images: want at least 1", r.title, o.Batch)
	}
	e := &Extractor{kind: kind, recipe: r, options: o}
	if e.path, err = r.files.find(r.title, path); err != nil {
		return nil, err
	}
	if r.settle != nil {
		if err := r.settle(r, e.path); err != nil {
			return nil, fmt.Errorf("open %s: %w", r.title, err)
		}
	}
	if e.store, err = weights.Open(e.path, weights.Options{}); err != nil {
		return nil, fmt.Errorf("open %s: %w", r.title, err)
	}
	if err := e.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", r.title, err), e.store.Close())
	}
	return e, nil
}

// smallest is a size that every network accepts, for the master.
const smallest = 64

// load checks and folds the weights.
func (e *Extractor) load() error {
	side := e.recipe.side
	if side == 0 {
		side = smallest
	}
	var err error
	if e.master, err = e.recipe.build(1, side, side); err != nil {
		return err
	}
	params := e.master.scope.Params()
	if err := e.store.Bind(params, e.recipe.mapping); err != nil {
		return err
	}
	if err := e.master.folds.Fold(); err != nil {
		return err
	}
	if err := e.store.Release(params); err != nil {
		return err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %d %v %s\n", e.kind, preparation, e.options.Precision, e.options.Device.Name())
	if err := e.store.Digest(h); err != nil {
		return err
	}
	if e.recipe.side != 0 { // covers the files next to the weights
		if err := e.digestPreparation(h); err != nil {
			return err
		}
	}
	e.fingerprint = hex.EncodeToString(h.Sum(nil))
	return nil
}

// digestPreparation writes the preparation of an image of all values.
func (e *Extractor) digestPreparation(w io.Writer) error {
	image := imagefile.New(256, 256)
	for i := range image.Pix {
		image.Pix[i] = uint8(i / 3 * (1 + i%3))
	}
	p, err := e.recipe.prepare(image)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, p.height, p.width, p.pixels)
	return err
}

// Dim is the number of features in a row.
func (e *Extractor) Dim() int {
	sum := 0
	for _, width := range e.recipe.layers {
		sum += width
	}
	return sum
}

// Layers are the widths of the parts of a row: 256, 512, 1024 and 2048 channel means of ResNet50, one part for all
// other kinds.
func (e *Extractor) Layers() []int { return slices.Clone(e.recipe.layers) }

// Fingerprint identifies weights, preparation, precision and device: rows may be cached under it and the image's bytes.
func (e *Extractor) Fingerprint() string { return e.fingerprint }

// Extract returns a row of Dim numbers for each image. Images may have different sizes; ResNet50, which reads them at
// their size, is faster if many are equal. Except for rounding, rows don't depend on the batch. When ctx ends Extract
// returns its error after the current operation.
func (e *Extractor) Extract(ctx context.Context, images []*imagefile.Image) ([][]float32, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("extract features with %s: it is closed", e.recipe.title)
	}
	rows := make([][]float32, len(images))
	for _, group := range e.groups(images) {
		batch := e.batchOf(images[group[0]])
		for at := 0; at < len(group); at += batch {
			part := group[at:min(at+batch, len(group))]
			if err := e.batch(ctx, images, part, rows); err != nil {
				return nil, fmt.Errorf("extract features with %s: %w", e.recipe.title, err)
			}
		}
	}
	return rows, nil
}

// batchOf is the size of batches of images like this one.
func (e *Extractor) batchOf(image *imagefile.Image) int {
	if e.recipe.side != 0 || image == nil {
		return e.options.Batch
	}
	return max(1, min(e.options.Batch, e.options.Batch*batchPixels/max(1, image.Width*image.Height)))
}

// groups lists the indices of images that can share a batch, in order.
func (e *Extractor) groups(images []*imagefile.Image) [][]int {
	var groups [][]int
	at := map[[2]int]int{}
	for i, image := range images {
		size := [2]int{}
		if e.recipe.side == 0 && image != nil {
			size = [2]int{image.Width, image.Height}
		}
		g, ok := at[size]
		if !ok {
			g = len(groups)
			at[size] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

// batch fills the rows of some images.
func (e *Extractor) batch(ctx context.Context, images []*imagefile.Image, part []int, rows [][]float32) error {
	all, err := e.prepareAll(images, part)
	if err != nil {
		return err
	}
	p, err := e.program(size{len(part), all[0].height, all[0].width})
	if err != nil {
		return err
	}
	pixels := make([]float32, 0, len(part)*len(all[0].pixels))
	for _, a := range all {
		pixels = append(pixels, a.pixels...)
	}
	out, err := p.Run(ctx, pixels)
	if err != nil {
		return err
	}
	dim := e.Dim()
	for i, image := range part {
		row := out[i*dim : (i+1)*dim]
		if err := finite.Check("features", row, finite.Squares); err != nil {
			return fmt.Errorf("image %d: %w", image, err)
		}
		rows[image] = slices.Clone(row)
	}
	return nil
}

// prepareAll prepares images concurrently.
func (e *Extractor) prepareAll(images []*imagefile.Image, part []int) ([]prepared, error) {
	all, errs := make([]prepared, len(part)), make([]error, len(part))
	parallel.For(len(part), func(i int) {
		image := images[part[i]]
		err := image.Check()
		if err == nil {
			all[i], err = e.recipe.prepare(image)
		}
		if err != nil {
			errs[i] = fmt.Errorf("image %d: %w", part[i], err)
		}
	})
	return all, errors.Join(errs...)
}

// program returns the compiled network for a size and compiles it if needed.
func (e *Extractor) program(z size) (*program, error) {
	if i := slices.IndexFunc(e.programs, func(p *program) bool { return p.size == z }); i >= 0 {
		p := e.programs[i]
		e.programs = slices.Insert(slices.Delete(e.programs, i, i+1), 0, p)
		return p, nil
	}
	for len(e.programs) >= keptPrograms {
		last := e.programs[len(e.programs)-1]
		e.programs = e.programs[:len(e.programs)-1]
		if err := e.free(last); err != nil {
			return nil, err
		}
	}
	p, err := e.compile(z)
	if err != nil {
		return nil, fmt.Errorf("%d images of %d×%d pixels: %w", z.batch, z.width, z.height, err)
	}
	e.programs = slices.Insert(e.programs, 0, p)
	return p, nil
}

// compile builds the graph for a size, gives it the weights and compiles it.
func (e *Extractor) compile(z size) (*program, error) {
	n, err := e.recipe.build(z.batch, z.height, z.width)
	if err != nil {
		return nil, err
	}
	if err := n.folds.Share(e.master.folds); err != nil {
		return nil, err
	}
	replaced := n.folds.Replaced()
	params := slices.DeleteFunc(n.scope.Params(), func(p *gorgonia.Node) bool { return slices.Contains(replaced, p) })
	rest := weights.Mapping{Rename: e.recipe.mapping.Rename, Ignore: func(string) bool { return true }}
	if err := e.store.Bind(params, rest); err != nil {
		return nil, err
	}
	compiled, err := encoders.Compile(n.in, n.out, vm.Options{
		Device: e.options.Device, Precision: e.options.Precision, MemoryLimit: e.options.MemoryLimit,
	})
	if err != nil {
		return nil, err
	}
	p := &program{compiled, z, n.scope.Params()}
	if err := e.store.Release(compiled.Unread()); err != nil { // 3 of 9 GB with GigaPath
		return nil, errors.Join(err, e.free(p))
	}
	return p, nil
}

// free frees a program's memory, and that of weights which no other program reads.
func (e *Extractor) free(p *program) error {
	return errors.Join(p.Close(), e.store.Release(p.params))
}

// Close frees all memory. The device stays open.
func (e *Extractor) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	var errs []error
	for _, p := range e.programs {
		errs = append(errs, e.free(p))
	}
	e.programs = nil
	return errors.Join(append(errs, e.store.Close())...)
}
