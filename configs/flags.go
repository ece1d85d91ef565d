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
		f := set.VarPF(&flag{k, k.text()}, name, "", k.usage)
		if k.field.Kind() == reflect.Bool {
			f.NoOptDefVal = "true"
		}
		flags[k.name] = f
	}
	return flags
}

// flag is a key's value on a command line, as it is written there.
type flag struct {
	key  key
	text string
}

// String is the text.
func (f *flag) String() string { return f.text }

// Set accepts what a file may hold. The key's field keeps its value: Load sets it.
func (f *flag) Set(text string) error {
	k := f.key
	k.field = reflect.New(k.field.Type()).Elem()
	if err := k.decode(written{text: text}); err != nil {
		return err
	}
	f.text = text
	return nil
}

// Type names the kind of value in the help.
func (f *flag) Type() string {
	if isText(f.key.field) {
		return reflect.String.String()
	}
	switch kind := f.key.field.Kind(); kind {
	case reflect.Bool, reflect.Int64, reflect.Float64:
		return kind.String()
	case reflect.Int:
		return reflect.Int64.String()
	}
	return reflect.String.String()
}
