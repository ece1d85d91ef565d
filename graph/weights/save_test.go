package weights_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
)

// numbered makes n tensors of 10 elements, all of one value.
func numbered(n int, value float32) []weights.Tensor {
	var list []weights.Tensor
	for i := range n {
		list = append(list, weights.NewTensor(string(rune('a'+i)), []int{2, 5}, slices.Repeat([]float32{value}, 10)))
	}
	return list
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	check(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// expect checks that a folder's weights are n tensors of one value.
func expect(t *testing.T, folder string, n int, value float32) {
	t.Helper()
	s, err := weights.Open(folder, weights.Options{})
	check(t, err)
	got := readAll(t, s)
	check(t, s.Close()) // Windows doesn't replace files that are open
	if len(got) != n {
		t.Errorf("%d tensors, want %d", len(got), n)
	}
	for name, v := range got {
		if diff := cmp.Diff(slices.Repeat([]float32{value}, 10), v); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Files are named as huggingface_hub names them, and earlier ones that are not needed go away, whichever way the save
// went before.
func TestSaveNames(t *testing.T) {
	folder := t.TempDir()
	check(t, os.WriteFile(filepath.Join(folder, "config.json"), []byte("{}"), 0o644))
	single := []string{"config.json", "model.safetensors"}
	three := []string{
		"config.json", "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors",
		"model.safetensors.index.json",
	}
	two := []string{
		"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
		"model.safetensors.index.json",
	}
	for i, step := range []struct {
		limit int64
		want  []string
	}{{0, single}, {80, three}, {80, three}, {120, two}, {79, nil}, {200, single}, {80, three}} {
		check(t, weights.Save(folder, numbered(5, float32(i)),
			weights.SaveOptions{BaseName: "model", MaxShardBytes: step.limit}))
		if diff := cmp.Diff(step.want, names(t, folder)); step.want != nil && diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		expect(t, folder, 5, float32(i))
	}
	var index struct {
		Metadata struct {
			TotalSize int `json:"total_size"`
		}
		WeightMap map[string]string `json:"weight_map"`
	}
	b, err := os.ReadFile(filepath.Join(folder, "model.safetensors.index.json"))
	check(t, err)
	check(t, json.Unmarshal(b, &index))
	if index.Metadata.TotalSize != 200 {
		t.Errorf("total_size %d, want 200", index.Metadata.TotalSize)
	}
	if diff := cmp.Diff(map[string]string{"a": three[1], "b": three[1], "c": three[2], "d": three[2], "e": three[3]},
		index.WeightMap); diff != "" {
		t.Errorf("weight_map (-want +got):\n%s", diff)
	}
}

// A tensor beyond the limit has a file of its own, in front of the file that was being filled.
func TestSaveLargeTensor(t *testing.T) {
	folder := t.TempDir()
	list := slices.Insert(numbered(2, 1), 1, weights.NewTensor("large", []int{100}, make([]float32, 100)))
	check(t, weights.Save(folder, list, weights.SaveOptions{MaxShardBytes: 100}))
	s := open(t, filepath.Join(folder, "diffusion_pytorch_model-00001-of-00002.safetensors"))
	if got := s.Tensors(); len(got) != 1 || got[0].Name != "large" {
		t.Errorf("the first file has %v, want the large tensor alone", got)
	}
}

// A save that fails leaves what was there.
func TestSaveKeepsOld(t *testing.T) {
	folder := t.TempDir()
	for _, limit := range []int64{0, 40} {
		check(t, weights.Save(folder, numbered(4, 1), weights.SaveOptions{MaxShardBytes: limit}))
		before := names(t, folder)
		bad := append(numbered(3, 2), weights.NewTensor("culprit", []int{1}, []float32{1e6}))
		err := weights.Save(folder, bad, weights.SaveOptions{MaxShardBytes: limit, DType: weights.Float16})
		if err == nil || !strings.Contains(err.Error(), "culprit") || !strings.Contains(err.Error(), "float16") {
			t.Errorf("error %v, want one that names the tensor and the type", err)
		}
		if diff := cmp.Diff(before, names(t, folder)); diff != "" {
			t.Errorf("files (-before +after):\n%s", diff)
		}
		expect(t, folder, 4, 1)
	}
}

// Shards can't all be replaced at once. Wherever a save is cut off, the folder loads as one of the two.
func TestSaveCutOff(t *testing.T) {
	for shard := range 4 {
		folder := t.TempDir()
		o := weights.SaveOptions{MaxShardBytes: 40}
		check(t, weights.Save(folder, numbered(4, 1), o))
		// A folder in the place of a shard stops the save when it gets there.
		obstacle := filepath.Join(folder, names(t, folder)[shard])
		check(t, os.Remove(obstacle))
		check(t, os.MkdirAll(filepath.Join(obstacle, "full"), 0o755))
		if err := weights.Save(folder, numbered(4, 2), o); err == nil {
			t.Fatal("no error")
		}
		expect(t, folder, 4, 2)
		check(t, os.RemoveAll(obstacle))
		check(t, weights.Save(folder, numbered(4, 3), o))
		expect(t, folder, 4, 3)
		if n := len(names(t, folder)); n != 5 {
			t.Errorf("%d files, want 4 shards and an index: %v", n, names(t, folder))
		}
	}
}

// Saving over the file that is mapped changes neither what is bound nor breaks the result.
func TestSaveOverMapped(t *testing.T) {
	path, want := saved(t, weights.Float32, map[string][]int{"w": {40, 3}})
	s := open(t, path)
	params := network(t, map[string][]int{"w": {40, 3}})
	check(t, s.Bind(params, weights.Mapping{}))
	tensors, err := weights.FromParams(params)
	check(t, err)
	if err := weights.Save(path, tensors, weights.SaveOptions{}); (err != nil) != (runtime.GOOS == "windows") {
		t.Error(err) // Windows refuses, and nothing has changed
	}
	for _, got := range [][]float32{valuesOf(params[0]), readAll(t, open(t, path))["w"]} {
		if diff := cmp.Diff(want["w"], got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestSaveMetadata(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	check(t, weights.Save(path, numbered(1, 0), weights.SaveOptions{Metadata: map[string]string{"step": "7"}}))
	if diff := cmp.Diff(map[string]string{"format": "pt", "step": "7"}, open(t, path).Metadata()); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
}

func TestSaveRefuses(t *testing.T) {
	one := []float32{1}
	for name, c := range map[string]struct {
		tensors []weights.Tensor
		options weights.SaveOptions
		want    string
	}{
		"two of a name": {[]weights.Tensor{weights.NewTensor("x", []int{1}, one), weights.NewTensor("x", []int{1}, one)}, weights.SaveOptions{}, `"x"`},
		"no name":       {[]weights.Tensor{weights.NewTensor("", []int{1}, one)}, weights.SaveOptions{}, `""`},
		"reserved name": {[]weights.Tensor{weights.NewTensor("__metadata__", []int{1}, one)}, weights.SaveOptions{}, "__metadata__"},
		"wrong length":  {[]weights.Tensor{weights.NewTensor("x", []int{2}, one)}, weights.SaveOptions{}, `"x"`},
		"a path":        {nil, weights.SaveOptions{BaseName: "../x"}, "../x"},
	} {
		folder := t.TempDir()
		if err := weights.Save(folder, c.tensors, c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %s", name, err, c.want)
		}
		if n := names(t, folder); len(n) != 0 {
			t.Errorf("%s: files %v", name, n)
		}
	}
}

// Values of nodes are saved in the file's order; what can't be is named.
func TestFromValue(t *testing.T) {
	s := op.NewScope("network")
	n := s.Param("unbound", 2)
	if _, err := weights.FromParams(gorgonia.Nodes{n}); err == nil || !strings.Contains(err.Error(), "unbound") {
		t.Errorf("error %v, want one that names the parameter", err)
	}
	ints := tensor.New(tensor.WithShape(2), tensor.WithBacking([]int32{1, 2}))
	if _, err := weights.FromValue("ints", ints); err == nil || !strings.Contains(err.Error(), "ints") {
		t.Errorf("error %v, want one that names the tensor", err)
	}
	hwio := tensor.New(tensor.WithShape(1, 2, 1, 2), tensor.WithBacking([]float32{1, 2, 3, 4}))
	x, err := weights.FromValue("conv", hwio)
	check(t, err)
	path := filepath.Join(t.TempDir(), "x.safetensors")
	check(t, weights.Save(path, []weights.Tensor{x}, weights.SaveOptions{}))
	got, shape, err := open(t, path).Float32("conv")
	check(t, err)
	if diff := cmp.Diff([]float32{1, 3, 2, 4}, got) + cmp.Diff([]int{2, 1, 1, 2}, shape); diff != "" {
		t.Error(diff)
	}
}

// What was bound is saved as the same bytes that diffusers wrote for the same network.
func TestSaveAsDiffusers(t *testing.T) {
	from := golden.Path(t, "formats/unet/safetensors")
	params := paramsOf(t, from).Params()
	check(t, open(t, from).Bind(params, weights.Mapping{}))
	tensors, err := weights.FromParams(params)
	check(t, err)
	for dtype, file := range map[weights.DType]string{
		weights.Float32:  "safetensors/diffusion_pytorch_model.safetensors",
		weights.Float16:  "fp16/diffusion_pytorch_model.fp16.safetensors",
		weights.BFloat16: "bf16/diffusion_pytorch_model.bf16.safetensors",
	} {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		check(t, weights.Save(path, tensors, weights.SaveOptions{DType: dtype}))
		want, err := os.ReadFile(golden.Path(t, "formats/unet/"+file))
		check(t, err)
		got, err := os.ReadFile(path)
		check(t, err)
		if string(got) != string(want) {
			t.Errorf("%v: %d bytes, not the %d bytes of diffusers", dtype, len(got), len(want))
		}
	}
}

// The order in which tensors are given doesn't change a file.
func TestSaveIsDeterministic(t *testing.T) {
	list := numbered(6, 1)
	var first []byte
	for range 3 {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		check(t, weights.Save(path, list, weights.SaveOptions{Metadata: maps.Clone(map[string]string{"b": "1", "a": "2"})}))
		b, err := os.ReadFile(path)
		check(t, err)
		if first == nil {
			first = b
		}
		if string(b) != string(first) {
			t.Error("the files differ")
		}
		slices.Reverse(list)
	}
}
