package weights

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/internal/hostmem"
)

// Store holds the named tensors of one network's files. It is safe for concurrent use.
type Store struct {
	path     string
	files    []*mapped
	tensors  map[string]*stored
	metadata map[string]string
	prefix   string // removed from the names: see Prefix

	mu     sync.Mutex
	bound  map[*gorgonia.Node]*memory
	memory hostmem.Allocator // of converted values
}

// Options say which files of a folder to open.
type Options struct {
	// Variant picks files such as diffusion_pytorch_model.fp16.safetensors; "" picks those without a variant, or, where a
	// folder has none, those of the only variant that it has.
	Variant string
}

// Info describes a tensor as it is in the file.
type Info struct {
	Name  string
	DType string // as safetensors names it: F32, F16, BF16, F64, I64, …
	Shape []int  // [O,I,KH,KW], [out,in], …
	Bytes int64  // in the file
}

func (i Info) Elements() int64 { return int64(elements(i.Shape)) }

// stored is a tensor of a file.
type stored struct {
	name    string
	dtype   safetensors.DType
	shape   []int
	data    []byte // of a strided tensor, its storage from the first element on
	strides []int  // in elements; nil: row by row without gaps
	aliased bool   // other tensors may have the same bytes
	file    *mapped

	additions []LowRank

	asFile, asKernel *memory // the values that nodes have, in the file's layout and as [KH,KW,I,O]
}

// Open opens a .safetensors file, a .bin, .pt or .pth file of torch.save, an .index.json that lists shards of either,
// or a folder that diffusers or transformers saved a network in. Nothing but headers is read. Close the store when no
// graph uses it any more.
func Open(path string, o Options) (*Store, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	file := path
	if info.IsDir() {
		if file, err = findFile(path, o.Variant); err != nil {
			return nil, fmt.Errorf("open weights: %w", err)
		}
	}
	s := &Store{
		path: file, tensors: map[string]*stored{}, metadata: map[string]string{},
		bound: map[*gorgonia.Node]*memory{},
	}
	if strings.HasSuffix(file, ".json") {
		err = s.openIndex(file)
	} else {
		err = s.openFile(file, nil)
	}
	if err == nil {
		err = s.unwrap()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open weights: %w", err), s.Close())
	}
	return s, nil
}

// openFile adds the tensors of one file: those in only, or all of them if it is nil.
func (s *Store) openFile(path string, only map[string]bool) error {
	parse := parseTorch
	switch filepath.Ext(path) {
	case ".safetensors":
		parse = parseSafetensors
	case ".bin", ".pt", ".pth":
	default:
		return fmt.Errorf("%s: want .safetensors, .bin, .pt, .pth or .index.json", path)
	}
	m, err := mapFile(path)
	if err != nil {
		return err
	}
	s.files = append(s.files, m)
	tensors, metadata, err := parse(m.bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	maps.Copy(s.metadata, metadata)
	for _, t := range tensors {
		if only == nil || only[t.name] {
			t.file = m
			s.tensors[t.name] = t
		}
	}
	for name := range only {
		if t := s.tensors[name]; t == nil || t.file != m {
			return fmt.Errorf("%s: no tensor %q, which the index says is there", path, name)
		}
	}
	return nil
}

// Path is the file, or the index of the files, that the store was opened from.
func (s *Store) Path() string { return s.path }

// Metadata is the text that .safetensors files have in addition to their tensors.
func (s *Store) Metadata() map[string]string { return maps.Clone(s.metadata) }

// Tensors lists the store's tensors, sorted by name.
func (s *Store) Tensors() []Info {
	list := make([]Info, 0, len(s.tensors))
	for _, name := range slices.Sorted(maps.Keys(s.tensors)) {
		t := s.tensors[name]
		list = append(list, Info{
			name, t.dtype.String(), slices.Clone(t.shape),
			int64(elements(t.shape)) * int64(t.dtype.Size()),
		})
	}
	return list
}

// Float32 returns a copy of a tensor's values, row by row in the file's layout, with its shape.
func (s *Store) Float32(name string) ([]float32, []int, error) {
	t := s.tensors[name]
	if t == nil {
		return nil, nil, fmt.Errorf("%s: no tensor %q", s.path, name)
	}
	if !isFloat(t.dtype) {
		return nil, nil, fmt.Errorf("%s: tensor %q: %s, want F32, F16, BF16 or F64", s.path, name, t.dtype)
	}
	values := make([]float32, elements(t.shape))
	t.read(values, t.dense(), 0)
	return values, slices.Clone(t.shape), nil
}

// Close frees all memory. Values that the store bound must not be read after that: close programs compiled from them
// first.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, t := range s.tensors {
		for _, m := range []*memory{t.asFile, t.asKernel} {
			if m != nil && m.converted != nil {
				errs = append(errs, s.memory.Free(*m.converted))
			}
		}
		t.asFile, t.asKernel = nil, nil
	}
	for _, f := range s.files {
		errs = append(errs, f.close())
	}
	s.files, s.tensors, s.bound = nil, nil, nil
	return errors.Join(errs...)
}

// dense returns the tensor's bytes row by row: the file's own, or a copy of a strided tensor's.
func (t *stored) dense() []byte {
	if t.strides == nil {
		return t.data
	}
	size := int(t.dtype.Size())
	out := make([]byte, 0, elements(t.shape)*size)
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(t.shape) {
			out = append(out, t.data[at*size:][:size]...)
			return
		}
		for i := range t.shape[axis] {
			walk(axis+1, at+i*t.strides[axis])
		}
	}
	walk(0, 0)
	return out
}

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
