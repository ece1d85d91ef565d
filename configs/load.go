package configs

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
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

// Sources are where values come from beside the defaults that a struct holds, the weakest first.
type Sources struct {
	Files []File                 // the weakest first: see Chain
	Flags map[string]*pflag.Flag // by key; only those that were given count
	Set   []string               // KEY=VALUE
}

// Load fills a pointer to a struct of keys, which holds the defaults, and returns all values with their origins, by key. All errors are
// reported at once.
func Load(config any, s Sources) ([]Value, error) {
	keys := keysOf(config)
	v := viper.New()
	v.SetConfigType("yaml")
	origins := map[string]string{}
	var errs []error
	for _, f := range s.Files {
		lines, err := f.lines(keys)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := v.MergeConfig(bytes.NewReader(f.Text)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name, err))
		}
		for k, line := range lines {
			origins[k] = fmt.Sprintf("%s:%d", f.Name, line)
		}
	}
	set, err := assignments(s.Set, keys)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	var values []Value
	for _, k := range keys {
		value := Value{Key: k.name, Origin: "default"}
		if err := k.source(v, s, set, origins, &value); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := decode(k, value.Value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %v: %w", value.Origin, k.name, value.Value, err))
			continue
		}
		value.Value = k.plain()
		values = append(values, value)
	}
	return values, errors.Join(errs...)
}

// source finds the strongest value of a key.
func (k key) source(v *viper.Viper, s Sources, set map[string]string, origins map[string]string, value *Value) error {
	v.SetDefault(k.name, k.plain())
	if origin, ok := origins[k.name]; ok {
		value.Origin = origin
	}
	variable := Variable(k.name)
	if err := v.BindEnv(k.name, variable); err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	if os.Getenv(variable) != "" {
		value.Origin = variable
	}
	if f := s.Flags[k.name]; f != nil && f.Changed {
		if err := v.BindPFlag(k.name, f); err != nil {
			return fmt.Errorf("--%s: %w", f.Name, err)
		}
		value.Origin = "--" + f.Name
	}
	if text, ok := set[k.name]; ok {
		v.Set(k.name, text)
		value.Origin = "--set"
	}
	value.Value = v.Get(k.name)
	return nil
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
			errs = append(errs, fmt.Errorf("--set %s: %w", text, unknown(name, names(keys))))
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

// Locate adds to the errors of a configuration, whose texts begin with a key, where that key's value comes from. Errors may be joined;
// section stands before the keys of those that do not name it.
func Locate(err error, section string, values []Value) error {
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
		if !ok {
			located = append(located, e)
			continue
		}
		if section != "" {
			e = fmt.Errorf("%s.%w", section, e)
		}
		located = append(located, fmt.Errorf("%s: %w", origin, e))
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

// decode sets a key's field.
func decode(k key, value any) error {
	target := reflect.New(k.field.Type())
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: target.Interface(), WeaklyTypedInput: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.TextUnmarshallerHookFunc(), mapstructure.StringToSliceHookFunc(",")),
	})
	if err != nil {
		return err
	}
	if err := d.Decode(value); err != nil {
		if _, isText := target.Interface().(encoding.TextUnmarshaler); isText {
			if inner := errors.Unwrap(err); inner != nil {
				return inner
			}
			return err
		}
		return fmt.Errorf("want %s", k.kind())
	}
	k.field.Set(target.Elem())
	return nil
}
