package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// candidates lists the files that may hold a network's weights, as diffusers and transformers call them, in the order
// in which they are looked for.
func candidates(variant string) []string {
	var list []string
	for _, name := range []string{
		"diffusion_pytorch_model.safetensors", "model.safetensors",
		"diffusion_pytorch_model.bin", "pytorch_model.bin",
	} {
		ext := filepath.Ext(name)
		base := strings.TrimSuffix(name, ext)
		if variant == "" {
			list = append(list, name, name+".index.json")
			continue
		}
		// Libraries of different ages put the variant of an index in different places.
		list = append(list, base+"."+variant+ext, name+".index."+variant+".json", base+"."+variant+ext+".index.json")
	}
	return list
}

// variantOf finds the variant in a file's name, such as fp16 in model.fp16.safetensors.
var variantOf = regexp.MustCompile(`^(?:diffusion_pytorch_model|model|pytorch_model)` +
	`(?:\.([\w-]+)\.(?:safetensors|bin)(?:\.index\.json)?|\.(?:safetensors|bin)\.index\.([\w-]+)\.json)$`)

// findFile returns the file or the index with a network's weights.
func findFile(folder, variant string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	file, variants := Choose(names, variant)
	if file == "" {
		return "", notFound(folder, variant, variants)
	}
	return filepath.Join(folder, file), nil
}

// Choose returns the file with a network's weights, or the index of its shards, among the names of a folder's files:
// safetensors before .bin. Variant "" is that without one, or the only one that there is. If there is none, the file is
// "". variants are those that are there.
func Choose(names []string, variant string) (file string, variants []string) {
	for _, name := range names {
		if m := variantOf.FindStringSubmatch(name); m != nil && !shardOf.MatchString(name) {
			variants = append(variants, m[1]+m[2])
		}
	}
	slices.Sort(variants)
	variants = slices.Compact(variants)
	for _, name := range candidates(variant) {
		if slices.Contains(names, name) {
			return name, variants
		}
	}
	if variant == "" && len(variants) == 1 {
		return Choose(names, variants[0])
	}
	return "", variants
}

// HasVariant reports whether a folder has a network's weights in a variant; "" is none.
func HasVariant(folder, variant string) bool {
	entries, err := os.ReadDir(folder)
	return err == nil && slices.ContainsFunc(entries,
		func(e os.DirEntry) bool { return slices.Contains(candidates(variant), e.Name()) })
}

// HasWeights reports whether a folder holds the weights of a network, of any variant.
func HasWeights(folder string) bool {
	entries, err := os.ReadDir(folder)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return slices.Contains(candidates(""), e.Name()) || variantOf.MatchString(e.Name())
	})
}

func notFound(folder, variant string, variants []string) error {
	looked := strings.Join(candidates(variant), ", ")
	switch {
	case len(variants) > 0 && variant == "":
		return fmt.Errorf("%s: weights in the variants %s only: choose one, such as --variant %s (looked for %s)", folder,
			strings.Join(variants, ", "), variants[0], looked)
	case len(variants) > 0:
		return fmt.Errorf("%s: no weights in the variant %s; there is %s (looked for %s)", folder, variant,
			strings.Join(variants, ", "), looked)
	}
	if p, err := ReadPipeline(folder); err == nil {
		return fmt.Errorf("%s: a pipeline; its weights are in its folders %s", folder, strings.Join(p.networks(), ", "))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%s: no weights in the folder (looked for %s)", folder, looked)
}
