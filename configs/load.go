package configs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// envPrefix begins the names of all environment variables.
const envPrefix = "HISTDIST"

// Value is a key with what it is and where that comes from.
type Value struct {
	Key    string
	Value  any
	Origin string // default, a file with its line, an environment variable, or a flag
}

// byDefault is the origin of a value that nobody gave.
const byDefault = "default"

// Sources are where values come from in addition to the defaults that a struct holds, the weakest first.
type Sources struct {
	Files []File                 // the weakest first: see Chain
	Flags map[string]*pflag.Flag // by key; only those that were given count
	Set   []string               // KEY=VALUE
}

// Load fills a pointer to a struct of keys, which holds the defaults, and returns the values with their origins, by key. All errors are
// reported at once. Of values that can't be read the keys are left out; where keys aren't known, there are no values at all.
func Load(config any, s Sources) ([]Value, error) {
	keys := keysOf(config)
	v := viper.New()
	var errs []error
	for _, f := range s.Files {
		tree, err := f.values(keys)
		errs = append(errs, err, v.MergeConfigMap(tree))
	}
	errs = append(errs, unknownVariables(keys))
	set, err := assignments(s.Set, keys)
	errs = append(errs, err)
	whole := errors.Join(errs...) == nil
	var values []Value
	for _, k := range keys {
		if f := s.Flags[k.name]; f != nil && f.Changed {
			v.Set(k.name, written{text: f.Value.String(), origin: "--" + f.Name})
		}
		if text, ok := set[k.name]; ok {
			v.Set(k.name, written{text: text, origin: "--set"})
		}
		if err := v.BindEnv(k.name, Variable(k.name)); err != nil {
			return nil, fmt.Errorf("%s: %w", Variable(k.name), err)
		}
		value := Value{Key: k.name, Origin: byDefault}
		w, given := v.Get(k.name).(written)
		if text, ok := v.Get(k.name).(string); ok {
			w, given = written{text: text, origin: Variable(k.name)}, true
		}
		if given {
			value.Origin = w.origin
			if err := k.decode(w); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %s: %w", w.origin, k.name, shorten(w.text), err))
				continue
			}
		}
		value.Value = k.plain()
		values = append(values, value)
	}
	if !whole {
		values = nil
	}
	return values, errors.Join(errs...)
}

// shorten is a text for an error.
func shorten(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// unknownVariables reports variables in the environment that look like those of keys but are none.
func unknownVariables(keys []key) error {
	var errs []error
	for _, pair := range os.Environ() {
		variable, _, _ := strings.Cut(pair, "=")
		for section := range sections(keys) {
			rest, ok := strings.CutPrefix(variable, Variable(section)+"_")
			if !ok || slices.ContainsFunc(keys, func(k key) bool { return Variable(k.name) == variable }) {
				continue
			}
			meant := suggest(section+"."+strings.ToLower(strings.ReplaceAll(rest, "_", "-")), keys)
			for i, name := range meant {
				meant[i] = Variable(name)
			}
			errs = append(errs, fmt.Errorf("unknown environment variable %s%s", variable, didYouMean(meant)))
		}
	}
	return errors.Join(errs...)
}

// assignments reads KEY=VALUE texts.
func assignments(texts []string, keys []key) (map[string]string, error) {
	set := map[string]string{}
	var errs []error
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("--set %s: want KEY=VALUE, such as train.lr=1e-4", text))
		case !isKey(name, keys):
			errs = append(errs, fmt.Errorf("--set %s: %w", text, unknown(name, keys)))
		default:
			set[name] = value
		}
	}
	return set, errors.Join(errs...)
}

// Variable is the environment variable of a key.
func Variable(key string) string {
	return envPrefix + "_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// locate adds to the errors of a configuration, whose texts begin with a key, where that key's value comes from. Errors may be joined;
// section is put in front of the keys of those that do not name it. Errors of keys whose values could not be read are left out.
func locate(err error, section string, values []Value, keys []key) error {
	origins := map[string]string{}
	for _, v := range values {
		origins[v.Key] = v.Origin
	}
	var located []error
	for _, e := range leaves(err) {
		name := strings.TrimRight(strings.Fields(e.Error() + " ")[0], ":")
		if section != "" {
			name = section + "." + name
		}
		origin, ok := origins[name]
		if !ok && isKey(name, keys) {
			continue
		}
		if ok && section != "" {
			e = fmt.Errorf("%s.%w", section, e)
		}
		if ok && origin != byDefault {
			e = fmt.Errorf("%s: %w", origin, e)
		}
		located = append(located, e)
	}
	return errors.Join(located...)
}

// leaves takes joined errors apart.
func leaves(err error) []error {
	var joined interface{ Unwrap() []error }
	if err == nil {
		return nil
	}
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, leaves(e)...)
	}
	return list
}
