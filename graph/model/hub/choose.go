package hub

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/weights"
)

// maxText is more than any configuration or vocabulary has, in bytes.
const maxText = 64 << 20

// choose returns the files of a model that are needed: small are configurations, vocabularies, texts and indexes of
// shards, large are weights. A pipeline has a model_index.json and folders, a network a config.json.
func choose(list []file, r Request) (small, large []file, err error) {
	folders := map[string][]file{}
	for _, f := range list {
		dir := path.Dir(f.path)
		folders[dir] = append(folders[dir], f)
	}
	root := folders["."]
	switch {
	case has(root, "model_index.json"):
		for _, f := range root {
			if isText(f) {
				small = append(small, f)
			}
		}
		delete(folders, ".")
		for dir := range folders {
			if strings.Contains(dir, "/") || r.Folder != nil && !r.Folder(dir) {
				delete(folders, dir)
			}
		}
	case has(root, "config.json"):
		folders = map[string][]file{".": root}
	default:
		return nil, nil, fmt.Errorf("neither model_index.json nor config.json is there, so it is no pipeline and no network "+
			"as diffusers or transformers save them; it has: %s", some(names(list)))
	}
	found := r.Variant == ""
	var there []string // variants
	for dir, files := range folders {
		for _, f := range files {
			if isText(f) {
				small = append(small, f)
			}
		}
		w, has, variants := weightsOf(files, r.Variant)
		found, there = found || has, append(there, variants...)
		switch {
		case w == nil && isNetwork(files):
			return nil, nil, fmt.Errorf("%s: no weights that can be read: want .safetensors or .bin; there are: %s", dir,
				some(names(files)))
		case w == nil:
		case path.Ext(w.path) == ".json":
			small = append(small, *w)
		default:
			large = append(large, *w)
		}
	}
	if !found {
		slices.Sort(there)
		return nil, nil, fmt.Errorf("no network has weights in the variant %s; variants that there are: %s", r.Variant,
			some(slices.Compact(there)))
	}
	for _, f := range slices.Concat(small, large) {
		if err := f.check(); err != nil {
			return nil, nil, err
		}
	}
	byPath := func(a, b file) int { return strings.Compare(a.path, b.path) }
	slices.SortFunc(small, byPath)
	slices.SortFunc(large, byPath)
	return small, large, nil
}

// weightsOf finds the file or the index with the weights of a folder's network: of the variant, if it has that.
func weightsOf(files []file, variant string) (f *file, found bool, variants []string) {
	base := names(files)
	for i := range base {
		base[i] = path.Base(base[i])
	}
	name, variants := weights.Choose(base, variant)
	found = name != ""
	if !found {
		name, _ = weights.Choose(base, "")
	}
	if i := slices.Index(base, name); i >= 0 {
		return &files[i], found, variants
	}
	return nil, found, variants
}

// isNetwork reports whether a folder is one of a network, which has weights.
func isNetwork(files []file) bool { return has(files, "config.json") }

// isText reports whether a file says something about a network: no weights, no images, no code.
func isText(f file) bool {
	name := path.Base(f.path)
	if f.size > maxText || strings.Contains(name, ".index.") || strings.HasPrefix(name, ".") {
		return false
	}
	upper := strings.ToUpper(name)
	return slices.Contains([]string{".json", ".txt", ".model"}, path.Ext(name)) || upper == "README.MD" ||
		strings.HasPrefix(upper, "LICENSE") || strings.HasPrefix(upper, "NOTICE")
}

func has(files []file, name string) bool {
	return slices.ContainsFunc(files, func(f file) bool { return path.Base(f.path) == name })
}

func names(files []file) []string {
	list := make([]string, len(files))
	for i, f := range files {
		list[i] = f.path
	}
	return list
}

// shards returns the files that downloaded indexes of shards name.
func (r *repository) shards(list, small []file) ([]file, error) {
	var shards []file
	for _, index := range small {
		if !strings.Contains(path.Base(index.path), ".index.") {
			continue
		}
		names, err := weights.Shards(r.contentOf(index))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s can't be read", index.path), err)
		}
		for _, name := range names {
			at := path.Join(path.Dir(index.path), name)
			i := slices.IndexFunc(list, func(f file) bool { return f.path == at })
			if i < 0 {
				return nil, fmt.Errorf("%s names the file %s, which isn't there", index.path, at)
			}
			if err := list[i].check(); err != nil {
				return nil, err
			}
			shards = append(shards, list[i])
		}
	}
	return shards, nil
}
