package configs

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/histdist/histdist/internal/option"
)

// Value is the value of a key, and where it came from.
type Value struct {
	option.Field
	Value  any    // a bool, an integer, a float64 or a string; of a list of structs its text in YAML
	Origin string // Default, a file with its line, an environment variable or a flag
}

// Default is the origin of a value that nobody gave.
const Default = "default"

// Defaults returns the values that a struct of options holds.
func Defaults(config any) []Value {
	var values []Value
	for _, o := range option.Fields(config) {
		values = append(values, Value{o, plain(o), Default})
	}
	return values
}

// Sources are where values come from, in addition to a struct's defaults. Set wins over Flags, these over the
// environment, and that over files.
type Sources struct {
	Path     string                           // a YAML file, "" if none
	BuiltIn  func(name string) ([]byte, bool) // files in the binary that Path or a file's extends may name; may be nil
	Flags    map[string]*pflag.Flag           // by key; only those that were given count
	Set      []string                         // KEY=VALUE
	Synonyms map[string]string                // by key, names that other programs have for it, to suggest the key
	Note     func(text string)                // is told of earlier names of keys; may be nil
}

// Load fills a pointer to a struct of options, which holds the defaults, and returns its values by key. All errors are
// reported at once. Keys whose values can't be read are missing from the values; with an unknown key there are none.
func Load(config any, s Sources) ([]Value, error) {
	files, err := chain(s.Path, s.BuiltIn)
	if err != nil {
		return nil, err
	}
	k := &keys{options: option.Fields(config), synonyms: s.Synonyms, note: s.Note}
	v := viper.New()
	var errs []error
	for _, f := range files {
		values, err := f.values(k)
		errs = append(errs, err)
		for key, w := range values {
			v.SetDefault(key, w) // weaker than the environment
		}
	}
	errs = append(errs, k.checkEnvironment())
	set, err := k.assignments(s.Set)
	errs = append(errs, err)
	whole := errors.Join(errs...) == nil
	var values []Value
	for _, o := range k.options {
		if f := s.Flags[o.Key]; f != nil && f.Changed {
			v.Set(o.Key, written{text: f.Value.String(), origin: "--" + f.Name})
		}
		if text, ok := set[o.Key]; ok {
			v.Set(o.Key, written{text: text, origin: "--set"})
		}
		variables := []string{o.Key, Variable(o.Key)}
		if o.Was != "" {
			variables = append(variables, Variable(o.Was))
		}
		if err := v.BindEnv(variables...); err != nil {
			return nil, fmt.Errorf("%s: %w", Variable(o.Key), err)
		}
		value := Value{o, nil, Default}
		w, given := v.Get(o.Key).(written)
		if text, ok := v.Get(o.Key).(string); ok {
			w, given = written{text: text, origin: Variable(o.Key)}, true
		}
		if given {
			value.Origin = w.origin
			if err := assign(o, w); err != nil {
				of := o.Key
				if w.list == nil {
					of += ": " + shorten(w.text)
				}
				errs = append(errs, fmt.Errorf("%s: %s: %w", w.origin, of, err))
				continue
			}
		}
		value.Value = plain(o)
		values = append(values, value)
	}
	if !whole {
		values = nil
	}
	return values, errors.Join(errs...)
}

// Fill gives the options of a section that have their defaults the values of a struct with the same keys, and names its
// origin. values are those of Load.
func Fill(values []Value, section string, from any, origin string) {
	for _, f := range option.Fields(from) {
		for i, v := range values {
			if v.Key == section+"."+f.Key && v.Origin == Default {
				v.Var.Set(f.Var)
				values[i].Value, values[i].Origin = plain(f), origin
			}
		}
	}
}

// assign sets an option to what is written.
func assign(o option.Field, w written) error {
	if o.Elements() != nil {
		return decodeList(o, w)
	}
	return decode(o.Var, w)
}

// plain is an option's value as YAML has it.
func plain(o option.Field) any {
	if o.Elements() != nil {
		return listText(o)
	}
	if m, ok := o.Var.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil {
			return string(b)
		}
	}
	if o.Var.Kind() == reflect.String {
		return o.Var.String()
	}
	return o.Var.Interface()
}

// text is an option's value as a file has it.
func text(o option.Field) string { return fmt.Sprint(plain(o)) }

// shorten cuts a text for an error.
func shorten(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// Variable is the environment variable of a key.
func Variable(key string) string {
	return "HISTDIST_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// Locate adds to the option.KeyErrors in err, alone or joined, where the key's value came from. Errors of keys that
// values lacks, because they could not be read, are left out.
func Locate(err error, values []Value) error {
	var located []error
	for _, e := range option.Split(err) {
		if k := (*option.KeyError)(nil); errors.As(e, &k) {
			key, _, _ := strings.Cut(k.Key, "[") // of the list that an element is in
			at := slices.IndexFunc(values, func(v Value) bool { return v.Key == key })
			if at < 0 {
				continue
			}
			switch origin := values[at].Origin; {
			case origin == "--"+lastPart(k.Key): // the flag names the key
				e = fmt.Errorf("%s %w", origin, k.Err)
			case origin != Default:
				e = fmt.Errorf("%s: %w", origin, e)
			}
		}
		located = append(located, e)
	}
	return errors.Join(located...)
}

// keys are the options that files and the environment may name.
type keys struct {
	options  []option.Field
	synonyms map[string]string
	note     func(text string)
}

// find returns the option with a key, or with an earlier one, which place uses.
func (k *keys) find(name, place string) (option.Field, bool) {
	for _, o := range k.options {
		if o.Key == name {
			return o, true
		}
		if o.Was == name && name != "" {
			if k.note != nil {
				k.note(fmt.Sprintf("%s: %s is now called %s", place, name, o.Key))
			}
			return o, true
		}
	}
	return option.Field{}, false
}

// isSection reports whether options are in a section of this name.
func (k *keys) isSection(name string) bool {
	return slices.ContainsFunc(k.options, func(o option.Field) bool { return strings.HasPrefix(o.Key, name+".") })
}

// names lists all keys and sections.
func (k *keys) names() []string {
	var list []string
	for _, o := range k.options {
		for i, r := range o.Key + "." {
			if r == '.' {
				list = append(list, o.Key[:i])
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// checkEnvironment reports variables in the environment that begin as those of keys do but belong to none.
func (k *keys) checkEnvironment() error {
	var errs []error
	for _, pair := range os.Environ() {
		variable, _, _ := strings.Cut(pair, "=")
		for _, section := range k.names() {
			rest, ok := strings.CutPrefix(variable, Variable(section)+"_")
			if !ok || !k.isSection(section) {
				continue
			}
			name := section + "." + strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
			if _, known := k.find(name, variable); known {
				continue
			}
			meant := k.suggest(name)
			for i, name := range meant {
				meant[i] = Variable(name)
			}
			errs = append(errs, fmt.Errorf("unknown environment variable %s%s", variable, didYouMean(meant)))
		}
	}
	return errors.Join(errs...)
}

// assignments reads KEY=VALUE texts.
func (k *keys) assignments(texts []string) (map[string]string, error) {
	set := map[string]string{}
	var errs []error
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		o, known := k.find(name, "--set")
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("--set %s: want KEY=VALUE, such as train.lr=1e-4", text))
		case !known:
			errs = append(errs, fmt.Errorf("--set %s: %w", text, k.unknown(name)))
		default:
			set[o.Key] = value
		}
	}
	return set, errors.Join(errs...)
}
