package weights

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// compiled is the segment that torch.compile puts into the names of a module that it wraps.
const compiled = "_orig_mod."

// wrappers are the prefixes that programs put before all names of a network: DistributedDataParallel and AveragedModel
// "module.", Lightning and others the name of an attribute.
var wrappers = []string{"module.", "model.", "net.", "network.", "ema_model.", "unet.", "vae.", "text_encoder."}

// averaged is the count that torch's AveragedModel keeps in addition to the parameters.
const averaged = "n_averaged"

// unwrap takes known wrappers off the names of all tensors.
func (s *Store) unwrap() error {
	names := slices.Sorted(maps.Keys(s.tensors))
	counted := s.tensors[averaged] != nil && len(names) > 1
	if counted {
		names = slices.DeleteFunc(names, func(name string) bool { return name == averaged })
	}
	if len(names) == 0 {
		return nil
	}
	inner, prefix := unwrapped(names)
	if slices.Equal(inner, names) {
		return nil
	}
	tensors := make(map[string]*stored, len(names))
	for i, name := range names {
		t := s.tensors[name]
		if other := tensors[inner[i]]; other != nil {
			return fmt.Errorf("%s: two tensors are called %q without %q: want one network", s.path, inner[i], prefix)
		}
		t.name = inner[i]
		tensors[inner[i]] = t
	}
	s.tensors, s.prefix = tensors, prefix
	return nil
}

// unwrapped returns the names without wrappers, and what was taken off the first that had any.
func unwrapped(names []string) (inner []string, prefix string) {
	inner = slices.Clone(names)
	for again := true; again; {
		again = false
		for i, name := range inner {
			bare := strings.ReplaceAll("."+name, "."+compiled, ".")[1:]
			again = again || bare != name
			inner[i] = bare
		}
		for _, w := range wrappers {
			if !slices.ContainsFunc(inner, func(name string) bool { return !strings.HasPrefix(name, w) }) {
				for i := range inner {
					inner[i] = inner[i][len(w):]
				}
				again = true
			}
		}
	}
	for i, name := range names {
		if front, ok := strings.CutSuffix(name, inner[i]); ok && front != "" {
			return inner, front
		}
	}
	return inner, compiled
}

// Prefix is the prefix that was removed from the tensors' names in the file, such as torch.compile's "_orig_mod."; ""
// for none.
func (s *Store) Prefix() string { return s.prefix }

// unknownPrefix is the prefix that the names of all missing parameters have in the file; "" for none.
func unknownPrefix(missing, surplus []string) string {
	if len(missing) == 0 {
		return ""
	}
	for _, name := range surplus {
		prefix, ok := strings.CutSuffix(name, missing[0])
		if !ok || !strings.HasSuffix(prefix, ".") {
			continue
		}
		if !slices.ContainsFunc(missing, func(m string) bool { return !slices.Contains(surplus, prefix+m) }) {
			return prefix
		}
	}
	return ""
}
