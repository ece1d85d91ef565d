package model

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/finite"
)

// ConvertOptions say how a folder is written.
type ConvertOptions struct {
	DType         weights.DType
	MaxShardBytes int64  // of one file; 0 means 10 GB
	Variant       string // of the weights that are read, in the networks that have it

	// Components of a pipeline that are written; nil means all.
	Components []string
	// Replace names folders that take the place of components, or are added to them.
	Replace map[string]string
	// Adapters are added to the weights of components, or of the only network under the name "".
	Adapters map[string]*lora.Adapter
	// Finish, which may be nil, completes the folder before it appears.
	Finish func(dir string) error

	adapter *lora.Adapter // of the network that is converted
}

// Convert copies a pipeline's or a network's folder. Weights are written as safetensors under today's names, in another
// type and in shards if asked for. dst must not exist; it appears when it is complete.
func Convert(ctx context.Context, name, dst string, o ConvertOptions) error {
	return rewrite(ctx, name, dst, o, nil)
}

// edit changes networks of a class while they are converted: each tensor, and the files in the new folder.
type edit struct {
	class  string
	tensor func(name string, values []float32, shape []int) ([]float32, []int, error)
	folder func(folder string) error
	// missing, which may be nil, makes tensors that the network of a folder, not yet changed, doesn't have.
	missing func(folder string) ([]weights.Tensor, error)
}

func rewrite(ctx context.Context, name, dst string, o ConvertOptions, change *edit) error {
	src, err := Find(name)
	if err != nil {
		return err
	}
	p, err := weights.ReadPipeline(src)
	if errors.Is(err, fs.ErrNotExist) {
		o.adapter = o.Adapters[""]
		return atomicfile.Folder(dst, func(dir string) error { return convertNetwork(ctx, dir, src, o, change, nil) })
	}
	if err != nil {
		return err
	}
	return atomicfile.Folder(dst, func(dir string) error {
		if err := copyFiles(dir, src, func(string) bool { return true }); err != nil {
			return err
		}
		absent := o.absent(p)
		if err := without(dir, absent); err != nil {
			return err
		}
		v := &variants{wanted: o.Variant}
		for _, c := range o.components(p) {
			if slices.Contains(absent, c) {
				continue
			}
			from, one := cmp.Or(o.Replace[c], filepath.Join(src, c)), o
			one.adapter = o.Adapters[c]
			if err := convertComponent(ctx, filepath.Join(dir, c), from, one, change, v); err != nil {
				return fmt.Errorf("%s: %w", c, err)
			}
		}
		if err := v.err(src); err != nil && o.Replace == nil {
			return err
		}
		if o.Finish == nil {
			return nil
		}
		return o.Finish(dir)
	})
}

// absent lists a pipeline's components that are of no use here and that Pull left out.
func (o ConvertOptions) absent(p weights.Pipeline) []string {
	return slices.DeleteFunc(p.Names(), func(c string) bool {
		return isPart(c) || o.Replace[c] != "" || isFolder(filepath.Join(p.Dir, c))
	})
}

// without writes into a folder's model_index.json that its pipeline has no such components.
func without(dir string, components []string) error {
	if len(components) == 0 {
		return nil
	}
	none := map[string]any{}
	for _, c := range components {
		none[c] = []any{nil, nil}
	}
	return editJSON(filepath.Join(dir, "model_index.json"), none)
}

// components lists a pipeline's folders that are written.
func (o ConvertOptions) components(p weights.Pipeline) []string {
	list := p.Names()
	if isFolder(filepath.Join(p.Dir, "phikon")) {
		list = append(list, "phikon")
	}
	if purpose, err := ReadPurpose(p.Dir); err == nil { // a file that can't be read is copied, and found when it is used
		folders, _ := purpose.Presets.unets()
		missing := func(c string) bool { return !isFolder(filepath.Join(p.Dir, c)) }
		list = append(list, slices.DeleteFunc(folders, missing)...)
	}
	for c := range o.Replace {
		list = append(list, c)
	}
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list),
		func(c string) bool { return o.Components != nil && !slices.Contains(o.Components, c) })
}

// convertComponent writes one of a pipeline's folders, with or without weights. Unknown networks are copied.
func convertComponent(ctx context.Context, dst, src string, o ConvertOptions, change *edit, v *variants) error {
	if _, unknown := kindOf(src); unknown == nil {
		return convertNetwork(ctx, dst, src, o, change, v)
	}
	if weights.HasWeights(src) && !weights.HasVariant(src, "") {
		return fmt.Errorf("%s: an unknown network with weights of variants alone: convert it with the library that made it",
			src)
	}
	return copyFiles(dst, src, func(string) bool { return true })
}

// isWeights reports whether a file holds weights, which are written anew, or their index.
func isWeights(name string) bool {
	for _, end := range []string{".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".onnx"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return strings.Contains(name, ".index.")
}

// convertNetwork writes a network's folder. v, which may be nil, knows in which networks the variant is.
func convertNetwork(ctx context.Context, dst, src string, o ConvertOptions, change *edit, v *variants) (err error) {
	k, err := kindOf(src)
	if err != nil {
		return err
	}
	if v != nil {
		o.Variant = v.of(src)
	}
	s, err := weights.Open(src, weights.Options{Variant: o.Variant})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if o.adapter != nil {
		base, err := fingerprintOf(s, userDigests())
		if err != nil {
			return err
		}
		if err := o.adapter.AddTo(s, 1, lora.Fit{Base: base}); err != nil {
			return err
		}
	}
	if err := copyFiles(dst, src, func(name string) bool { return !isWeights(name) }); err != nil {
		return err
	}
	if change != nil && change.class != k.class {
		change = nil
	}
	tensors, err := tensorsOf(ctx, s, k, change)
	if err != nil {
		return err
	}
	if change != nil {
		if change.missing != nil {
			more, err := change.missing(dst)
			if err != nil {
				return err
			}
			tensors = append(tensors, more...)
		}
		if err := change.folder(dst); err != nil {
			return err
		}
	}
	return weights.Save(dst, tensors,
		weights.SaveOptions{DType: o.DType, MaxShardBytes: o.MaxShardBytes, BaseName: k.baseName})
}

// tensorsOf lists the tensors of a store that a network needs, under today's names.
func tensorsOf(ctx context.Context, s *weights.Store, k kind, change *edit) ([]weights.Tensor, error) {
	var list []weights.Tensor
	for _, info := range s.Tensors() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if k.mapping.Ignore != nil && k.mapping.Ignore(info.Name) {
			continue
		}
		name := info.Name
		if k.mapping.Rename != nil {
			name = k.mapping.Rename(name)
		}
		values, shape, err := s.Float32(info.Name)
		if err != nil {
			return nil, err
		}
		if name != info.Name && len(shape) == 4 && shape[2] == 1 && shape[3] == 1 { // an old linear layer
			shape = shape[:2]
		}
		if err := finite.Check(s.Path()+": "+name, values, finite.Squares); err != nil {
			return nil, err
		}
		if change != nil {
			if values, shape, err = change.tensor(name, values, shape); err != nil {
				return nil, err
			}
		}
		list = append(list, weights.NewTensor(name, shape, values))
	}
	slices.SortFunc(list, func(a, b weights.Tensor) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}
