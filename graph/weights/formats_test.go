package weights_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
)

// formatCase is a file or folder of the golden data, and what a reader must do with it.
type formatCase struct {
	Path, Kind, Must, Why string
	Names                 []string // that the error must hold
	Reference             struct{ Tensors json.RawMessage }
}

func readManifest(t *testing.T) (folder string, cases []formatCase) {
	t.Helper()
	path := golden.Path(t, "formats/manifest.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Cases []formatCase }
	if err := json.Unmarshal(b, &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Cases) == 0 {
		t.Fatalf("%s: no cases", path)
	}
	return filepath.Dir(path), manifest.Cases
}

// open opens a case. An index is put into a copy of a folder with shards first.
func (c formatCase) open(t *testing.T, folder string) (*weights.Store, error) {
	path := filepath.Join(folder, filepath.FromSlash(c.Path))
	if c.Kind == "index" {
		sharded := t.TempDir()
		if err := os.CopyFS(sharded, os.DirFS(filepath.Join(folder, "unet", "sharded"))); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		index := filepath.Join(sharded, "diffusion_pytorch_model.safetensors.index.json")
		if err := os.Remove(index); err != nil { // the copy may be read-only
			t.Fatal(err)
		}
		if err := os.WriteFile(index, b, 0o644); err != nil {
			t.Fatal(err)
		}
		path = sharded
	}
	return weights.Open(path, weights.Options{})
}

// Every file that safetensors, PyTorch and diffusers can meet is loaded or refused as they do, and nothing in it is
// run.
func TestFormats(t *testing.T) {
	folder, cases := readManifest(t)
	here := t.TempDir()
	t.Chdir(here)
	reference := paramsOf(t, filepath.Join(folder, "unet", "safetensors"))
	for _, c := range cases {
		t.Run(c.Path, func(t *testing.T) {
			s, err := c.open(t, folder)
			if err == nil {
				t.Cleanup(func() { check(t, s.Close()) })
				readAll(t, s)
				if c.Kind == "folder" {
					err = s.Bind(reference.Params(), weights.Mapping{})
				}
			}
			if err == nil && c.Must == "refuse" {
				t.Fatalf("loaded, want it refused: %s", c.Why)
			}
			if err != nil && c.Must == "load" {
				t.Fatalf("refused, want it loaded: %s: %v", c.Why, err)
			}
			if err != nil {
				named := filepath.Base(c.Path)
				if c.Kind == "index" || c.Kind == "folder" {
					named = "diffusion_pytorch_model"
				}
				for _, name := range append(c.Names, named) {
					if !strings.Contains(err.Error(), name) {
						t.Errorf("error %q doesn't name %q", err, name)
					}
				}
				return
			}
			compareShapes(t, s, c.Reference.Tensors)
		})
	}
	for _, place := range []string{here, folder, filepath.Join(folder, "bin")} {
		if _, err := os.Stat(filepath.Join(place, "HOSTILE_PICKLE_RAN")); err == nil {
			t.Errorf("a pickle was run: %s", place)
		}
	}
}

// compareShapes compares with the shapes that the reference read: {name: shape} or {name: [dtype, shape]}.
func compareShapes(t *testing.T, s *weights.Store, reference json.RawMessage) {
	t.Helper()
	var want map[string][]int
	if json.Unmarshal(reference, &want) != nil {
		var typed map[string][2]json.RawMessage
		if json.Unmarshal(reference, &typed) != nil {
			return
		}
		want = map[string][]int{}
		for name, pair := range typed {
			var shape []int
			check(t, json.Unmarshal(pair[1], &shape))
			want[name] = shape
		}
	}
	if want == nil {
		return
	}
	got := map[string][]int{}
	for _, i := range s.Tensors() {
		got[i.Name] = i.Shape
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shapes (-want +got):\n%s", diff)
	}
}

// readAll reads every tensor of floats.
func readAll(t *testing.T, s *weights.Store) map[string][]float32 {
	t.Helper()
	values := map[string][]float32{}
	for _, i := range s.Tensors() {
		if !strings.Contains(i.DType, "F") {
			continue
		}
		v, shape, err := s.Float32(i.Name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(i.Shape, shape); diff != "" {
			t.Errorf("%s: shapes differ: %s", i.Name, diff)
		}
		values[i.Name] = v
	}
	return values
}

// paramsOf makes parameters for all tensors of a folder or file.
func paramsOf(t *testing.T, path string) *op.Scope {
	t.Helper()
	s := open(t, path)
	scope := op.NewScope("test")
	for _, i := range s.Tensors() {
		shape := i.Shape
		if len(shape) == 4 {
			shape = []int{shape[2], shape[3], shape[1], shape[0]}
		}
		scope.Param(i.Name, shape...)
	}
	check(t, scope.Err())
	return scope
}

func open(t *testing.T, path string) *weights.Store {
	t.Helper()
	s, err := weights.Open(path, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// All folders of the U-Net have the same weights, those in 16 bits up to rounding.
func TestFoldersAgree(t *testing.T) {
	folder, cases := readManifest(t)
	want := readAll(t, open(t, filepath.Join(folder, "unet", "safetensors")))
	for _, c := range cases {
		if c.Kind != "folder" || c.Must != "load" {
			continue
		}
		s := open(t, filepath.Join(folder, filepath.FromSlash(c.Path)))
		halfUlp := map[string]float64{"F32": 0, "F16": 0x1p-11, "BF16": 0x1p-8}[s.Tensors()[0].DType]
		got := readAll(t, s)
		if len(got) != len(want) {
			t.Errorf("%s: %d tensors, want %d", c.Path, len(got), len(want))
		}
		for name, w := range want {
			for i, g := range got[name] {
				if math.Abs(float64(g)-float64(w[i])) > halfUlp*math.Abs(float64(w[i]))+halfUlp*0x1p-14 {
					t.Fatalf("%s: %s[%d] = %g, want %g", c.Path, name, i, g, w[i])
				}
			}
		}
	}
}

// Strided, shared and expanded views of storages have the values that PyTorch gives them.
func TestTorchViews(t *testing.T) {
	for _, name := range []string{"kinds.bin", "legacy.bin"} { // a zip, and the format of torch before 1.6
		t.Run(name, func(t *testing.T) {
			want := open(t, golden.Path(t, "formats/bin/kinds_expected.safetensors"))
			got := open(t, golden.Path(t, "formats/bin/"+name))
			if diff := cmp.Diff(want.Tensors(), got.Tensors()); diff != "" {
				t.Errorf("tensors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(readAll(t, want), readAll(t, got)); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			// The same through Bind, which puts convolution weights into the graph's order.
			if diff := cmp.Diff(bound(t, want), bound(t, got)); diff != "" {
				t.Errorf("bound values (-want +got):\n%s", diff)
			}
		})
	}
}

// bound binds all tensors of floats to parameters of their shape.
func bound(t *testing.T, s *weights.Store) map[string][]float32 {
	t.Helper()
	scope := op.NewScope("test")
	for _, i := range s.Tensors() {
		if !strings.Contains(i.DType, "F") || len(i.Shape) == 0 || product(i.Shape) == 0 {
			continue
		}
		if len(i.Shape) == 4 {
			i.Shape = []int{i.Shape[2], i.Shape[3], i.Shape[1], i.Shape[0]}
		}
		scope.Param(i.Name, i.Shape...)
	}
	check(t, scope.Err())
	check(t, s.Bind(scope.Params(), weights.Mapping{Ignore: func(string) bool { return true }}))
	values := map[string][]float32{}
	for _, n := range scope.Params() {
		values[n.Name()] = append([]float32{}, valuesOf(n)...)
		for i := range valuesOf(n) { // tensors that share a storage in the file must not share it in training
			valuesOf(n)[i]++
		}
	}
	for _, n := range scope.Params() {
		for i, v := range valuesOf(n) {
			if v != values[n.Name()][i]+1 {
				t.Fatalf("%s[%d]: %g became %g with a step of 1 of every parameter", n.Name(), i, values[n.Name()][i], v)
			}
		}
	}
	return values
}
