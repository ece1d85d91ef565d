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
	has := map[string]bool{}
	var variants []string
	for _, e := range entries {
		has[e.Name()] = true
		if m := variantOf.FindStringSubmatch(e.Name()); m != nil && !shardOf.MatchString(e.Name()) {
			variants = append(variants, m[1]+m[2])
		}
	}
	slices.Sort(variants)
	variants = slices.Compact(variants)
	for _, name := range candidates(variant) {
		if has[name] {
			return filepath.Join(folder, name), nil
		}
	}
	if variant == "" && len(variants) == 1 {
		return findFile(folder, variants[0])
	}
	return "", notFound(folder, variant, variants)
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
