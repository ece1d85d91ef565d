package weights_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/weights"
)

// place writes a file with one tensor, whose value tells which file it is.
func place(t *testing.T, folder, name string, value float32) {
	t.Helper()
	path := filepath.Join(folder, name)
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	temporary := filepath.Join(t.TempDir(), "x.safetensors")
	check(t, weights.Save(temporary, []weights.Tensor{weights.NewTensor("x", []int{1}, []float32{value})},
		weights.SaveOptions{}))
	check(t, os.Rename(temporary, path))
}

// Which of a folder's files is opened.
func TestOpenFolder(t *testing.T) {
	index := func(shard string) string { return `{"weight_map": {"x": "` + shard + `"}}` }
	for name, c := range map[string]struct {
		files   map[string]float32
		indexes map[string]string // in the order of names, after files
		variant string
		want    float32
		err     []string
	}{
		"diffusers first":     {files: map[string]float32{"diffusion_pytorch_model.safetensors": 1, "model.safetensors": 2}, want: 1},
		"transformers":        {files: map[string]float32{"model.safetensors": 2, "flax_model.msgpack": 3}, want: 2},
		"variant":             {files: map[string]float32{"model.safetensors": 1, "model.fp16.safetensors": 2}, variant: "fp16", want: 2},
		"no variant":          {files: map[string]float32{"model.safetensors": 1, "model.fp16.safetensors": 2}, want: 1},
		"only one variant":    {files: map[string]float32{"model.fp16.safetensors": 2, "config.json": 0}, want: 2},
		"a variant's shards":  {files: map[string]float32{"model.fp16-00001-of-00001.safetensors": 4}, indexes: map[string]string{"model.safetensors.index.fp16.json": index("model.fp16-00001-of-00001.safetensors")}, variant: "fp16", want: 4},
		"newer variant index": {files: map[string]float32{"model.fp16-00001-of-00001.safetensors": 4}, indexes: map[string]string{"model.fp16.safetensors.index.json": index("model.fp16-00001-of-00001.safetensors")}, variant: "fp16", want: 4},
		"two variants":        {files: map[string]float32{"model.fp16.safetensors": 1, "model.bf16.safetensors": 2}, err: []string{"bf16, fp16"}},
		"another variant":     {files: map[string]float32{"model.fp16.safetensors": 1}, variant: "bf16", err: []string{"bf16", "fp16", "model.bf16.safetensors"}},
		"nothing":             {files: map[string]float32{"config.json": 1}, err: []string{"diffusion_pytorch_model.safetensors", "pytorch_model.bin"}},
		"a pipeline":          {files: map[string]float32{"unet/model.safetensors": 1}, indexes: map[string]string{"model_index.json": `{"_class_name": "P", "unet": ["diffusers", "U"], "scheduler": ["diffusers", "S"]}`}, err: []string{"pipeline", "unet"}},
		"an empty index":      {indexes: map[string]string{"model.safetensors.index.json": `{"weight_map": {}}`}, err: []string{"weight_map"}},
		"an index of itself":  {indexes: map[string]string{"model.safetensors.index.json": index("model.safetensors.index.json")}, err: []string{"model.safetensors.index.json"}},
		"an unknown shard":    {files: map[string]float32{"x.msgpack": 1}, indexes: map[string]string{"model.safetensors.index.json": index("x.msgpack")}, err: []string{"x.msgpack"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for file, value := range c.files {
				place(t, folder, file, value)
			}
			for file, text := range c.indexes {
				check(t, os.WriteFile(filepath.Join(folder, file), []byte(text), 0o644))
			}
			s, err := weights.Open(folder, weights.Options{Variant: c.variant})
			if c.err != nil {
				for _, part := range c.err {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("error %v, want one with %q", err, part)
					}
				}
				return
			}
			check(t, err)
			defer s.Close()
			got, _, err := s.Float32("x")
			check(t, err)
			if got[0] != c.want {
				t.Errorf("opened file %g, want %g", got[0], c.want)
			}
		})
	}
}

// What is no file of weights is refused with a reason.
func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	lfs := "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3438167540\n"
	for name, c := range map[string]struct{ content, want string }{
		"pointer.safetensors": {lfs, "git lfs pull"},
		"pointer.bin":         {lfs, "git lfs pull"},
		"weights.msgpack":     {"x", ".safetensors"},
		"null.safetensors":    {"\x04\x00\x00\x00\x00\x00\x00\x00null", "JSON object"},
		"two.safetensors":     {"\x04\x00\x00\x00\x00\x00\x00\x00{}{}", "follows"},
		"rank.safetensors":    {header(`{"x":{"dtype":"F32","shape":[`+strings.Repeat("1,", 100)+`1],"data_offsets":[0,4]}}`) + "1234", "64"},
	} {
		path := filepath.Join(folder, name)
		check(t, os.WriteFile(path, []byte(c.content), 0o644))
		_, err := weights.Open(path, weights.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want one with the name and %q", name, err, c.want)
		}
	}
	if _, err := weights.Open(filepath.Join(folder, "absent.safetensors"), weights.Options{}); err == nil {
		t.Error("absent: no error")
	}
}

// header puts its length in front of a header of less than 64 kB.
func header(text string) string {
	return string([]byte{byte(len(text)), byte(len(text) >> 8), 0, 0, 0, 0, 0, 0}) + text
}

// A tensor that isn't there, or isn't of floats, is named.
func TestFloat32Refuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	check(t, os.WriteFile(path, []byte(header(`{"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`)+"12345678"),
		0o644))
	s := open(t, path)
	for _, name := range []string{"absent", "ids"} {
		if _, _, err := s.Float32(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that names %s", err, name)
		}
	}
	if err := s.Bind(network(t, map[string][]int{"ids": {1}}), weights.Mapping{}); err == nil ||
		!strings.Contains(err.Error(), "I64") {
		t.Errorf("error %v, want one that names the type", err)
	}
}
