package weights

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/nlpodyssey/safetensors"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/finite"
	"github.com/histdist/histdist/internal/parallel"
)

// SaveOptions say how tensors are saved; the zero value does what diffusers does.
type SaveOptions struct {
	DType         DType             // numbers are rounded to nearest even
	MaxShardBytes int64             // of tensors in one file of a folder; 0 means 10 GB
	BaseName      string            // of the files in a folder; "" means diffusion_pytorch_model, transformers have model
	Metadata      map[string]string // in addition to format: pt
}

const (
	defaultShard = 10_000_000_000
	defaultBase  = "diffusion_pytorch_model"
	extension    = ".safetensors"
)

// Save writes tensors as safetensors: into the file path if it ends in .safetensors, else into the folder path, which
// is made if needed, as diffusers and transformers lay it out: BaseName.safetensors, or several
// BaseName-00001-of-00002.safetensors and BaseName.safetensors.index.json if they take more than MaxShardBytes. The
// same tensors give the same bytes.
//
// Values that are NaN or infinite are refused.
//
// At every moment, even if the program or the machine stops, the earlier or the new tensors can be loaded: files are
// written and synchronised under names that begin with ".new-" and then renamed, and files of an earlier save are
// removed in the end. Only one Save may write to a path at a time.
func Save(path string, tensors []Tensor, o SaveOptions) error {
	w := &writer{folder: path, base: o.BaseName, dtype: o.DType, metadata: map[string]string{"format": "pt"}}
	maps.Copy(w.metadata, o.Metadata)
	limit := o.MaxShardBytes
	if limit == 0 {
		limit = defaultShard
	}
	if w.base == "" {
		w.base = defaultBase
	}
	if strings.HasSuffix(path, extension) {
		w.folder, w.base = filepath.Dir(path), strings.TrimSuffix(filepath.Base(path), extension)
		w.alone, limit = true, 0
	}
	if err := w.save(tensors, limit); err != nil {
		return fmt.Errorf("save weights: %w", err)
	}
	return nil
}

// writer is one call of Save.
type writer struct {
	folder, base string
	alone        bool // a file on its own: no other in its folder is read
	dtype        DType
	metadata     map[string]string
	files        []output
	scratch      []byte
	numbers      []float32 // of a tensor that is read when it is saved
}

// output is a file and its tensors.
type output struct {
	name    string
	tensors []Tensor
}

func (w *writer) save(tensors []Tensor, limit int64) error {
	if err := w.check(tensors); err != nil {
		return err
	}
	w.split(tensors, limit)
	if err := os.MkdirAll(w.folder, 0o777); err != nil {
		return err
	}
	for _, f := range w.files {
		if err := w.write(f); err != nil {
			return errors.Join(err, w.removeNew())
		}
	}
	if err := w.publish(); err != nil {
		return err
	}
	if w.alone {
		return nil
	}
	return w.removeStale()
}

func (w *writer) check(tensors []Tensor) error {
	if w.dtype > BFloat16 {
		return fmt.Errorf("type %d: unknown", w.dtype)
	}
	if strings.ContainsAny(w.base, `/\`) || w.base == "" {
		return fmt.Errorf("base name %q: want the beginning of a file's name", w.base)
	}
	seen := map[string]bool{}
	for _, t := range tensors {
		if seen[t.name] || t.name == "" || t.name == "__metadata__" {
			return fmt.Errorf("tensor %q: want names that are there once and not reserved", t.name)
		}
		seen[t.name] = true
		for _, d := range t.shape {
			if d < 0 {
				return fmt.Errorf("tensor %q: shape %v", t.name, t.shape)
			}
		}
		if t.read == nil && len(t.values) != t.size() {
			return fmt.Errorf("tensor %q: %d values of shape %v", t.name, len(t.values), t.shape)
		}
	}
	return nil
}

// split distributes tensors over files as huggingface_hub does: in their order, a new file where the limit would be
// passed, a tensor beyond the limit in a file of its own. A limit of 0 means one file.
func (w *writer) split(tensors []Tensor, limit int64) {
	var shards [][]Tensor
	var current []Tensor
	var size int64
	for _, t := range tensors {
		n := int64(t.size() * w.dtype.size())
		if limit > 0 && n > limit {
			shards = append(shards, []Tensor{t})
			continue
		}
		if limit > 0 && size+n > limit {
			shards = append(shards, current)
			current, size = nil, 0
		}
		current, size = append(current, t), size+n
	}
	if len(current) > 0 || len(shards) == 0 {
		shards = append(shards, current)
	}
	if len(shards) == 1 {
		w.files = []output{{w.base + extension, shards[0]}}
		return
	}
	for i, s := range shards {
		w.files = append(w.files, output{fmt.Sprintf("%s-%05d-of-%05d%s", w.base, i+1, len(shards), extension), s})
	}
}

func fresh(name string) string { return ".new-" + name }

// write writes a file under its new name and waits until the disk has it.
func (w *writer) write(f output) error {
	views := make(map[string]*pending, len(f.tensors))
	var failure error
	for _, t := range f.tensors {
		views[t.name] = &pending{t, w, &failure}
	}
	return w.create(fresh(f.name), func(b *bufio.Writer) error {
		err := safetensors.SerializeToWriter(views, w.metadata, b)
		if failure != nil {
			return failure
		}
		return err
	})
}

// create makes a file in the folder.
func (w *writer) create(name string, fill func(*bufio.Writer) error) error {
	path := filepath.Join(w.folder, name)
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<20)
	if err := fill(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(b.Flush(), atomicfile.Sync(f)); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f.Close()
}

// publish gives the files their names. Readers find shards through the index: where an earlier save used the shards'
// names as well, an index of their new names comes first and holds until all shards have both names.
func (w *writer) publish() error {
	replaces := slices.ContainsFunc(w.files, func(f output) bool { return w.exists(f.name) })
	if len(w.files) > 1 && replaces {
		if err := w.writeIndex(fresh); err != nil {
			return err
		}
	}
	for _, f := range w.files {
		from := fresh(f.name)
		if len(w.files) > 1 && replaces {
			from = ".link-" + f.name
			if err := w.link(fresh(f.name), from); err != nil {
				return err
			}
		}
		if err := atomicfile.Rename(filepath.Join(w.folder, from), filepath.Join(w.folder, f.name)); err != nil {
			return err
		}
	}
	if len(w.files) > 1 {
		if err := w.writeIndex(func(name string) string { return name }); err != nil {
			return err
		}
	}
	return atomicfile.SyncFolder(w.folder)
}

func (w *writer) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(w.folder, name))
	return err == nil
}

// link gives a file a second name, or makes a copy of that name where the file system has no links.
func (w *writer) link(name, second string) error {
	target := filepath.Join(w.folder, second)
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Link(filepath.Join(w.folder, name), target) == nil {
		return nil
	}
	f, err := os.Open(filepath.Join(w.folder, name))
	if err != nil {
		return err
	}
	defer f.Close()
	return w.create(second, func(b *bufio.Writer) error {
		_, err := io.Copy(b, f)
		return err
	})
}

func (w *writer) index() string { return w.base + extension + ".index.json" }

// writeIndex writes the index of the shards, which are called as rename says.
func (w *writer) writeIndex(rename func(string) string) error {
	var index struct {
		Metadata struct {
			TotalSize int `json:"total_size"`
		} `json:"metadata"`
		WeightMap map[string]string `json:"weight_map"`
	}
	index.WeightMap = map[string]string{}
	for _, f := range w.files {
		for _, t := range f.tensors {
			index.WeightMap[t.name] = rename(f.name)
			index.Metadata.TotalSize += t.size() * w.dtype.size()
		}
	}
	text, err := json.MarshalIndent(index, "", "  ")
	if err != nil {
		return err
	}
	name := w.index()
	err = w.create(fresh(name), func(b *bufio.Writer) error {
		_, err := b.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return err
	}
	if err := atomicfile.Rename(filepath.Join(w.folder, fresh(name)), filepath.Join(w.folder, name)); err != nil {
		return err
	}
	return atomicfile.SyncFolder(w.folder)
}

// removeNew removes the files of an unsuccessful save.
func (w *writer) removeNew() error {
	var errs []error
	for _, f := range w.files {
		if err := os.Remove(filepath.Join(w.folder, fresh(f.name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// removeStale removes the files of earlier saves that this one has not replaced, an index before its shards.
func (w *writer) removeStale() error {
	keep := map[string]bool{}
	for _, f := range w.files {
		keep[f.name] = true
	}
	if len(w.files) > 1 {
		keep[w.index()] = true
	}
	ours, err := regexp.Compile(`^(\.new-|\.link-)?` + regexp.QuoteMeta(w.base) +
		`(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$`)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(w.folder)
	if err != nil {
		return err
	}
	var stale []string
	for _, e := range entries {
		if ours.MatchString(e.Name()) && !keep[e.Name()] {
			stale = append(stale, e.Name())
		}
	}
	slices.SortStableFunc(stale, func(a, b string) int {
		return strings.Compare(filepath.Ext(a), filepath.Ext(b)) // .json comes before .safetensors
	})
	for _, name := range stale {
		if err := os.Remove(filepath.Join(w.folder, name)); err != nil {
			return fmt.Errorf("saved, but a file of an earlier save stays: %w", err)
		}
	}
	return nil
}

// pending is a tensor to be written: a safetensors.View that is converted when it is its turn, in memory that the next
// one uses again.
type pending struct {
	Tensor
	w       *writer
	failure *error
}

func (p *pending) DType() safetensors.DType {
	return [...]safetensors.DType{safetensors.F32, safetensors.F16, safetensors.BF16}[p.w.dtype]
}

func (p *pending) Shape() []uint64 {
	shape := make([]uint64, len(p.shape))
	for i, d := range p.shape {
		shape[i] = uint64(d)
	}
	return shape
}

func (p *pending) DataLen() uint64 { return uint64(p.size() * p.w.dtype.size()) }

// Data returns the bytes for the file, valid until the next tensor's are asked for, or nil after a failure.
func (p *pending) Data() []byte {
	if *p.failure != nil {
		return nil
	}
	if p.read != nil {
		if n := p.size(); cap(p.w.numbers) < n {
			p.w.numbers = make([]float32, n)
		}
		p.values = p.w.numbers[:p.size()]
		if err := p.read(p.values); err != nil {
			*p.failure = fmt.Errorf("tensor %q: %w", p.name, err)
			return nil
		}
	}
	if err := checkFinite(p.name, p.values, finite.Any); err != nil {
		*p.failure = fmt.Errorf("tensor %w", err)
		return nil
	}
	if !p.kernel && p.w.dtype == Float32 {
		return bytesOf(p.values)
	}
	size := p.w.dtype.size()
	n := len(p.values) * size
	if cap(p.w.scratch) < n {
		p.w.scratch = make([]byte, n)
	}
	out := p.w.scratch[:n]
	var overflow atomic.Pointer[float32]
	rows, step := len(p.values), grain
	part := func(i, end int) {
		if bad := encode(out[i*size:], p.values[i:end], p.w.dtype); bad >= 0 {
			overflow.Store(&p.values[i+bad])
		}
	}
	if p.kernel && n > 0 {
		c := kernelOf(p.shape)
		rows, step = c.O, c.step()
		part = func(o, end int) {
			if value, bad := c.toFile(out, p.values, p.w.dtype, o, end); bad {
				overflow.Store(&value)
			}
		}
	}
	parallel.Ranges(rows, step, part)
	if bad := overflow.Load(); bad != nil {
		*p.failure = fmt.Errorf("tensor %q: %g is beyond the range of %s: save it as float32", p.name, *bad, p.w.dtype)
		return nil
	}
	return out
}
