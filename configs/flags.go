package configs

import (
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/histdist/histdist/internal/option"
)

// AddFlags makes a flag for each option in a section of a struct ("" is all of it), named as the key without its
// section, and returns them by key. Keys in except get none. The struct's values are the defaults in the help.
func AddFlags(set *pflag.FlagSet, config any, section string, except ...string) map[string]*pflag.Flag {
	flags := map[string]*pflag.Flag{}
	prefix := strings.TrimPrefix(section+".", ".")
	for _, o := range option.Fields(config) {
		name, ok := strings.CutPrefix(o.Key, prefix)
		if !ok || slices.Contains(except, name) {
			continue
		}
		f := set.VarPF(&flag{option: o, text: text(o)}, name, "", o.Usage)
		if o.Var.Kind() == reflect.Bool {
			f.NoOptDefVal = "true"
		}
		flags[o.Key] = f
	}
	return flags
}

// flag is the text that a command line has for an option.
type flag struct {
	option option.Field
	text   string
	given  bool
}

// String is the text.
func (f *flag) String() string { return f.text }

// Set accepts what a file may hold; a list grows with each call. The struct keeps its value: Load sets it.
func (f *flag) Set(text string) error {
	if f.given && f.option.IsList() {
		text = option.Join(f.text, text)
	}
	if err := decode(reflect.New(f.option.Var.Type()).Elem(), written{text: text}); err != nil {
		return err
	}
	f.text, f.given = text, true
	return nil
}

// Type names the kind of value in the help.
func (f *flag) Type() string {
	switch f.option.Kind() {
	case "text":
		return "string"
	case "true or false":
		return "bool"
	case "number":
		return "float64"
	case "list":
		return "list"
	}
	return "int64"
}
