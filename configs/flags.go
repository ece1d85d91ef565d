package configs

import (
	"reflect"
	"strings"

	"github.com/spf13/pflag"
)

// AddFlags makes a flag for each key of a section of a configuration, named as the key without its section, and returns them by key.
// The struct's values are the defaults that the help shows.
func AddFlags(set *pflag.FlagSet, config any, section string) map[string]*pflag.Flag {
	flags := map[string]*pflag.Flag{}
	for _, k := range keysOf(config) {
		name, ok := strings.CutPrefix(k.name, section+".")
		if !ok {
			continue
		}
		switch k.field.Kind() {
		case reflect.Bool:
			set.Bool(name, k.field.Bool(), k.usage)
		case reflect.Int, reflect.Int64:
			set.Int64(name, k.field.Int(), k.usage)
		case reflect.Float64:
			set.Float64(name, k.field.Float(), k.usage)
		default:
			set.String(name, k.text(), k.usage)
		}
		flags[k.name] = set.Lookup(name)
	}
	return flags
}
