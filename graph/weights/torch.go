package weights

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"path"
	"slices"
	"strings"

	"github.com/nlpodyssey/safetensors"
)

// storageTypes are torch's names of the types of elements.
func storageTypes() map[string]safetensors.DType {
	return map[string]safetensors.DType{
		"DoubleStorage": safetensors.F64, "FloatStorage": safetensors.F32,
		"HalfStorage": safetensors.F16, "BFloat16Storage": safetensors.BF16,
		"LongStorage": safetensors.I64, "IntStorage": safetensors.I32,
		"ShortStorage": safetensors.I16, "CharStorage": safetensors.I8,
		"ByteStorage": safetensors.U8, "BoolStorage": safetensors.BOOL,
	}
}

// container is a file of torch.save: a pickle that describes the tensors, and storages with their elements, which
// tensors view with a shape, an offset and strides.
type container struct {
	bytes   []byte
	root    any // the pickle's value
	storage func(key string) ([]byte, error)
}

// parseTorch reads the description of a file that torch.save wrote and checks that every tensor is within its
// storage.
func parseTorch(b []byte) ([]*stored, map[string]string, error) {
	read := readArchive
	if bytes.HasPrefix(b, legacyMagic) {
		read = readLegacy
	}
	a, err := read(b)
	if err != nil {
		return nil, nil, err
	}
	named, err := stateDict(a.root)
	if err != nil {
		return nil, nil, err
	}
	var tensors []*stored
	users := map[string]int{} // of a storage
	keys := map[*stored]string{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		t, key, err := a.tensor(named[name])
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		t.name = name
		tensors = append(tensors, t)
		keys[t] = key
		users[key]++
	}
	for _, t := range tensors {
		t.aliased = users[keys[t]] > 1
	}
	return tensors, nil, nil
}

// archive is a file of torch 1.6 and later: a zip with data.pkl, which describes the tensors, and uncompressed data/0,
// data/1 … with their elements.
type archive struct {
	bytes   []byte
	prefix  string // the folder in the zip
	entries map[string]*zip.File
}

func readArchive(b []byte) (*container, error) {
	a, err := openArchive(b)
	if err != nil {
		return nil, err
	}
	pickle, err := a.entry("data.pkl")
	if err != nil {
		return nil, err
	}
	root, err := unpickle(pickle)
	if err != nil {
		return nil, fmt.Errorf("data.pkl: %w", err)
	}
	return &container{bytes: b, root: root, storage: func(key string) ([]byte, error) { return a.entry("data/" + key) }},
		nil
}

func openArchive(b []byte) (*archive, error) {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("no file of torch.save: %w", err)
	}
	a := &archive{bytes: b, entries: map[string]*zip.File{}}
	for _, f := range r.File {
		if a.entries[f.Name] != nil {
			return nil, fmt.Errorf("zip: two entries %q", f.Name)
		}
		a.entries[f.Name] = f
		if folder, name := path.Split(f.Name); name == "data.pkl" && strings.Count(f.Name, "/") == 1 {
			a.prefix = folder
		}
	}
	if a.prefix == "" {
		return nil, errors.New("zip: no data.pkl in it: no file of torch.save")
	}
	if a.entries[a.prefix+"byteorder"] != nil {
		order, err := a.entry("byteorder")
		if err != nil {
			return nil, err
		}
		if string(order) != "little" {
			return nil, fmt.Errorf("byte order %.20q: want little", order)
		}
	}
	return a, nil
}

// entry returns the bytes of an entry below the folder.
func (a *archive) entry(name string) ([]byte, error) {
	f := a.entries[a.prefix+name]
	if f == nil {
		return nil, fmt.Errorf("zip: no %s", name)
	}
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 || f.Flags&1 != 0 {
		return nil, fmt.Errorf("zip: %s is compressed or encrypted, which torch.save doesn't do", name)
	}
	begin, err := f.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("zip: %s: %w", name, err)
	}
	if begin < 0 || begin > int64(len(a.bytes)) || f.UncompressedSize64 > uint64(int64(len(a.bytes))-begin) {
		return nil, fmt.Errorf("zip: %s reaches beyond the end of the file", name)
	}
	return a.bytes[begin:][:f.UncompressedSize64:f.UncompressedSize64], nil
}

// stateDict returns the values by name: the dictionary itself, or the one in it that is called state_dict.
func stateDict(root any) (map[string]any, error) {
	d, ok := root.(*dict)
	if !ok {
		return nil, fmt.Errorf("it holds %s, want a dictionary of tensors", describe(root))
	}
	for i, key := range d.keys {
		if inner, ok := d.values[i].(*dict); ok && key == any("state_dict") {
			d = inner
			break
		}
	}
	named := map[string]any{}
	for i, key := range d.keys {
		name, ok := key.(string)
		if !ok {
			return nil, fmt.Errorf("a key that is %s, want the name of a tensor", describe(key))
		}
		named[name] = d.values[i]
	}
	return named, nil
}

// tensor checks a description and returns the tensor with the key of its storage.
func (a *container) tensor(v any) (*stored, string, error) {
	args, ok := argsOf(v, "_rebuild_parameter")
	if ok && len(args) > 0 {
		v = args[0]
	}
	args, ok = argsOf(v, "_rebuild_tensor_v2")
	if !ok {
		return nil, "", fmt.Errorf("%s, want a tensor", describe(v))
	}
	if len(args) < 6 {
		return nil, "", fmt.Errorf("described by %d values, want 6", len(args))
	}
	if len(args) > 6 && args[6] != nil {
		return nil, "", errors.New("has attributes such as a pending conjugation or negation, which aren't read")
	}
	data, dtype, key, err := a.elements(args[0])
	if err != nil {
		return nil, "", err
	}
	offset, ok := args[1].(int)
	shape, shapeOK := naturals(args[2])
	strides, stridesOK := naturals(args[3])
	if !ok || offset < 0 || !shapeOK || !stridesOK || len(shape) != len(strides) || len(shape) > maxRank {
		return nil, "", errors.New("offset, shape or strides are negative or of different lengths")
	}
	t := &stored{dtype: dtype, shape: shape}
	bytes, err := byteSize(shape, dtype)
	if err != nil {
		return nil, "", err
	}
	size := int(dtype.Size())
	end, err := extent(shape, strides, offset)
	if err != nil {
		return nil, "", err
	}
	if end > len(data)/size {
		return nil, "", fmt.Errorf("shape %v, strides %v and offset %d reach element %d of a storage of %d", shape, strides,
			offset, end, len(data)/size)
	}
	if bytes > len(a.bytes) { // strides of 0 repeat elements
		return nil, "", fmt.Errorf("shape %v takes %d bytes, more than the whole file has", shape, bytes)
	}
	t.data = data[min(offset*size, len(data)):]
	if isDense(shape, strides) {
		t.data = t.data[:bytes:bytes]
	} else {
		t.strides = strides
	}
	return t, key, nil
}

// storageID describes a storage in a pickle.
type storageID struct {
	dtype safetensors.DType
	key   string
	n     int // elements
}

// parseStorageID reads a persistent id: ("storage", type, key, place, elements), after which old files have None, or
// the view of another storage, which isn't read.
func parseStorageID(v any) (storageID, error) {
	p, _ := v.(persistent)
	id, _ := p.id.(tuple)
	if len(id) == 6 && id[5] == nil {
		id = id[:5]
	}
	if len(id) != 5 || id[0] != any("storage") {
		return storageID{}, errors.New("without a storage")
	}
	kind, _ := id[1].(global)
	t, ok := storageTypes()[kind.name]
	if !ok {
		return storageID{}, fmt.Errorf("a storage of type %s", describe(id[1]))
	}
	key, keyOK := id[2].(string)
	n, ok := id[4].(int)
	if !ok || !keyOK || n < 0 {
		return storageID{}, errors.New("a storage without a key and a size")
	}
	return storageID{t, key, n}, nil
}

// elements returns the elements of a persistent id.
func (a *container) elements(v any) (data []byte, t safetensors.DType, key string, err error) {
	id, err := parseStorageID(v)
	if err != nil {
		return nil, 0, "", err
	}
	data, err = a.storage(id.key)
	if err != nil {
		return nil, 0, "", err
	}
	size := int(id.dtype.Size())
	if id.n > len(data)/size {
		return nil, 0, "", fmt.Errorf("its storage has %d elements, but there are %d bytes for it", id.n, len(data))
	}
	return data[:id.n*size], id.dtype, id.key, nil
}

// extent is the number of elements that a storage must have for a tensor.
func extent(shape, strides []int, offset int) (int, error) {
	last := uint64(offset)
	for i, n := range shape {
		if n == 0 {
			return 0, nil
		}
		over, step := bits.Mul64(uint64(n-1), uint64(strides[i]))
		if last += step; over != 0 || step > math.MaxInt || last >= math.MaxInt {
			return 0, fmt.Errorf("shape %v with strides %v: more elements than can be counted", shape, strides)
		}
	}
	return int(last) + 1, nil
}

// isDense reports whether the elements are row by row without gaps.
func isDense(shape, strides []int) bool {
	step := 1
	dense := true
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] == 0 {
			return true
		}
		dense = dense && (shape[i] == 1 || strides[i] == step)
		step *= shape[i]
	}
	return dense
}

// argsOf returns the arguments if v is a call of a function of torch._utils.
func argsOf(v any, function string) (tuple, bool) {
	c, ok := v.(call)
	if !ok || c.function != any(global{"torch._utils", function}) {
		return nil, false
	}
	args, ok := c.args.(tuple)
	return args, ok
}

// naturals reads a tuple of numbers that are not negative.
func naturals(v any) ([]int, bool) {
	t, ok := v.(tuple)
	out := make([]int, len(t))
	for i, x := range t {
		n, isInt := x.(int)
		ok = ok && isInt && n >= 0
		out[i] = n
	}
	return out, ok
}

// describe names the type of a pickle's value.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case tuple:
		return "a tuple"
	case *list:
		return "a list"
	case *dict:
		return "a dictionary"
	case global:
		return v.module + "." + v.name
	case call:
		return "an object of " + describe(v.function)
	case persistent:
		return "a storage"
	default:
		return fmt.Sprintf("%.50s", fmt.Sprint(v))
	}
}
