package golden

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/nlpodyssey/safetensors"
)

// File is one .safetensors file of golden data, read whole.
type File struct {
	path     string
	tensors  map[string]*safetensors.TensorInfo
	metadata map[string]string
	data     []byte
}

// Tensor is a tensor in row-major order: len(Data) is the product of Shape, and a scalar has an empty Shape.
type Tensor[T any] struct {
	Shape []int
	Data  []T
}

// Open reads the golden file with this name, such as "blocks.safetensors". Where neither folder of golden data has it
// the test is skipped; a file that can't be read fails the test.
func Open(t testing.TB, name string) *File {
	t.Helper()
	path := Path(t, name)
	buffer, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("golden: %v", err)
	}
	f, err := parse(buffer)
	if err != nil {
		t.Fatalf("golden: %s: %v", path, err)
	}
	f.path = path
	return f
}

// parse splits a .safetensors file. The library checks that dtypes are known and that shapes and offsets agree
// with each other and with the length of the file; parse checks that shapes fit []int.
func parse(buffer []byte) (*File, error) {
	header, metadata, err := safetensors.ReadMetadata(buffer)
	if err != nil {
		return nil, err
	}
	f := &File{tensors: metadata.Tensors(), metadata: metadata.Metadata(), data: buffer[8+header:]}
	for name, info := range f.tensors {
		for _, n := range info.Shape {
			if n > math.MaxInt32 {
				return nil, fmt.Errorf("tensor %q: shape %v has a dimension beyond 2³¹", name, info.Shape)
			}
		}
	}
	return f, nil
}

// Names returns the names of the file's tensors, sorted.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.tensors))
	for name := range f.tensors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (f *File) Has(name string) bool {
	_, ok := f.tensors[name]
	return ok
}

// DType returns the type of a tensor's elements as the file has it: F32, F64, I64 or U8.
func (f *File) DType(t testing.TB, name string) string {
	t.Helper()
	return f.info(t, name).DType.String()
}

func (f *File) Shape(t testing.TB, name string) []int {
	t.Helper()
	info := f.info(t, name)
	shape := make([]int, len(info.Shape))
	for i, n := range info.Shape {
		shape[i] = int(n)
	}
	return shape
}

// Metadata returns the string that the file's metadata have under key.
func (f *File) Metadata(t testing.TB, key string) string {
	t.Helper()
	value, ok := f.metadata[key]
	if !ok {
		t.Fatalf("golden: %s: no metadata %q", f.path, key)
	}
	return value
}

// MetadataJSON decodes the JSON that the file's metadata have under key ("cases", "sizes", …) into value.
func (f *File) MetadataJSON(t testing.TB, key string, value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.Metadata(t, key)), value); err != nil {
		t.Fatalf("golden: %s: metadata %q: %v", f.path, key, err)
	}
}

// Float32 returns a tensor whose elements are float32.
func (f *File) Float32(t testing.TB, name string) Tensor[float32] {
	t.Helper()
	return read(t, f, name, safetensors.F32,
		func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
}

// Float64 returns a tensor whose elements are float64.
func (f *File) Float64(t testing.TB, name string) Tensor[float64] {
	t.Helper()
	return read(t, f, name, safetensors.F64,
		func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
}

// Int64 returns a tensor whose elements are int64.
func (f *File) Int64(t testing.TB, name string) Tensor[int64] {
	t.Helper()
	return read(t, f, name, safetensors.I64, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
}

// Uint8 returns a tensor whose elements are uint8.
func (f *File) Uint8(t testing.TB, name string) Tensor[uint8] {
	t.Helper()
	return read(t, f, name, safetensors.U8, func(b []byte) uint8 { return b[0] })
}

func (f *File) info(t testing.TB, name string) *safetensors.TensorInfo {
	t.Helper()
	info, ok := f.tensors[name]
	if !ok {
		t.Fatalf("golden: %s: no tensor %q", f.path, name)
	}
	return info
}

// read decodes a tensor element by element: the data in a file need not be aligned for T.
func read[T any](t testing.TB, f *File, name string, dtype safetensors.DType, decode func([]byte) T) Tensor[T] {
	t.Helper()
	info := f.info(t, name)
	if info.DType != dtype {
		t.Fatalf("golden: %s: tensor %q is %s, not %s", f.path, name, info.DType, dtype)
	}
	raw := f.data[info.DataOffsets[0]:info.DataOffsets[1]]
	size := int(dtype.Size())
	values := make([]T, len(raw)/size)
	for i := range values {
		values[i] = decode(raw[i*size:])
	}
	return Tensor[T]{Shape: f.Shape(t, name), Data: values}
}

// Path returns the path of a golden file or folder, which may be "tiny/unet/config.json" as well: in HISTDIST_GOLDEN if
// that is set and has it, else in testdata/golden. Where neither has it the test is skipped.
func Path(t testing.TB, name string) string {
	t.Helper()
	path, ok := Find(t, name)
	if !ok {
		t.Skipf("golden: no %s in %q; HISTDIST_GOLDEN may name a folder that has it", name, folders(t))
	}
	return path
}

// Find is Path for a file that a test can do without.
func Find(t testing.TB, name string) (path string, ok bool) {
	t.Helper()
	for _, folder := range folders(t) {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
	}
	return "", false
}

// folders are where golden data may be, the first one first.
func folders(t testing.TB) []string {
	t.Helper()
	var list []string
	if folder := os.Getenv("HISTDIST_GOLDEN"); folder != "" {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			t.Fatalf("golden: HISTDIST_GOLDEN=%s is not a folder", folder)
		}
		list = append(list, folder)
	}
	root, err := repository()
	if err != nil {
		t.Fatalf("golden: %v", err)
	}
	return append(list, filepath.Join(root, "testdata", "golden"))
}

// repository returns the folder of go.mod at or above the working directory, which for a test is its package's folder.
func repository() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
		folder = parent
	}
}
