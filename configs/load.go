package configs

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"gopkg.in/yaml.v3"
)

// envPrefix begins the names of all environment variables.
const envPrefix = "HISTDIST"

// Value is a key with what it is and where that comes from.
type Value struct {
	Key    string
	Value  any
	Origin string // default, a file with its line, an environment variable, or a flag
}

// Sources are where values come from beside the defaults that a struct holds.
type Sources struct {
	File  string                 // YAML; "" is none
	Flags map[string]*pflag.Flag // by key; only those that were given count
}

// Load fills a pointer to a struct of keys, which holds the defaults, and returns all values with their origins, by key. All errors are
// reported at once.
func Load(config any, s Sources) ([]Value, error) {
	keys := keysOf(config)
	v := viper.New()
	lines, err := readFile(v, s.File, keys)
	if err != nil {
		return nil, err
	}
	var values []Value
	var errs []error
	for _, k := range keys {
		v.SetDefault(k.name, k.plain())
		variable := Variable(k.name)
		if err := v.BindEnv(k.name, variable); err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		value := Value{Key: k.name, Origin: "default"}
		if line, ok := lines[k.name]; ok {
			value.Origin = fmt.Sprintf("%s:%d", s.File, line)
		}
		if os.Getenv(variable) != "" {
			value.Origin = variable
		}
		if f := s.Flags[k.name]; f != nil && f.Changed {
			if err := v.BindPFlag(k.name, f); err != nil {
				return nil, fmt.Errorf("--%s: %w", f.Name, err)
			}
			value.Origin = "--" + f.Name
		}
		got := v.Get(k.name)
		if err := decode(k, got); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %v: %w", value.Origin, k.name, got, err))
			continue
		}
		value.Value = k.plain()
		values = append(values, value)
	}
	return values, errors.Join(errs...)
}

// Variable is the environment variable of a key.
func Variable(key string) string {
	return envPrefix + "_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
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
		if _, isText := target.Interface().(interface{ UnmarshalText([]byte) error }); isText {
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

// readFile reads a YAML file and returns the line of each key in it. Keys that aren't known are errors.
func readFile(v *viper.Viper, path string, keys []key) (map[string]int, error) {
	lines := map[string]int{}
	if path == "" {
		return lines, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	known := names(keys)
	var errs []error
	var walk func(n *yaml.Node, prefix string)
	walk = func(n *yaml.Node, prefix string) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := prefix + n.Content[i].Value
			line := n.Content[i].Line
			if _, twice := lines[name]; twice {
				errs = append(errs, fmt.Errorf("%s:%d: %s stands twice", path, line, name))
			}
			lines[name] = line
			if !slices.Contains(known, name) {
				err := fmt.Errorf("%s:%d: unknown key %s", path, line, name)
				if near := nearest(name, known); near != "" {
					err = fmt.Errorf("%w: did you mean %s?", err, near)
				}
				errs = append(errs, err)
				continue
			}
			if n.Content[i+1].Kind == yaml.MappingNode {
				walk(n.Content[i+1], name+".")
			}
		}
	}
	if len(root.Content) > 0 {
		if root.Content[0].Kind != yaml.MappingNode {
			return nil, fmt.Errorf("%s: want keys and values", path)
		}
		walk(root.Content[0], "")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	v.SetConfigFile(path)
	v.SetConfigType("yaml")
	if err := v.ReadInConfig(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lines, nil
}
