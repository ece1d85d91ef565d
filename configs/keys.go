package configs

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// key is a field of a configuration under its dotted name.
type key struct {
	name  string // translate.steps-inversion
	usage string
	field reflect.Value
}

// Key is a key of a configuration, as a user sees it.
type Key struct {
	Name  string // train.steps
	Usage string
	Bool  bool
}

// Keys lists the keys of a pointer to a configuration.
func Keys(config any) []Key {
	var list []Key
	for _, k := range keysOf(config) {
		list = append(list, Key{k.name, k.usage, k.field.Kind() == reflect.Bool})
	}
	return list
}

// keysOf lists the fields of a pointer to a struct. A field's tag `key`, or `json` in structs that checkpoints hold too, is its name, a
// nested struct's a section's. Fields of an embedded struct belong to the struct around it.
func keysOf(config any) []key {
	var keys []key
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Anonymous {
				walk(v.Field(i), prefix)
				continue
			}
			name := cmp.Or(f.Tag.Get("key"), f.Tag.Get("json"))
			if name == "" {
				continue
			}
			if f.Type.Kind() == reflect.Struct && !isText(v.Field(i)) {
				walk(v.Field(i), prefix+name+".")
				continue
			}
			keys = append(keys, key{prefix + name, f.Tag.Get("usage"), v.Field(i)})
		}
	}
	walk(reflect.ValueOf(config).Elem(), "")
	return keys
}

// isText reports whether a field is written as a text, whatever it is inside.
func isText(field reflect.Value) bool {
	return reflect.PointerTo(field.Type()).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// text is the field's value as it is written in a file.
func (k key) text() string { return fmt.Sprint(k.plain()) }

// plain is the field's value with texts for what writes itself as text.
func (k key) plain() any {
	if m, ok := k.field.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil {
			return string(b)
		}
	}
	if k.field.Kind() == reflect.String {
		return k.field.String()
	}
	return k.field.Interface()
}

// kind names what a value must be, in errors.
func (k key) kind() string {
	if isText(k.field) {
		return "a text"
	}
	switch k.field.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a text"
}

// names lists the names of keys and of the sections that they are in.
func names(keys []key) []string {
	var list []string
	for _, k := range keys {
		parts := strings.Split(k.name, ".")
		for i := range parts {
			list = append(list, strings.Join(parts[:i+1], "."))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func isKey(name string, keys []key) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return k.name == name })
}

func isSection(name string, keys []key) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return strings.HasPrefix(k.name, name+".") })
}

// kindOf names what the value of a key must be.
func kindOf(name string, keys []key) string {
	return keys[slices.IndexFunc(keys, func(k key) bool { return k.name == name })].kind()
}

// sections are the names in front of keys' last dots.
func sections(keys []key) map[string]bool {
	list := map[string]bool{}
	for _, k := range keys {
		if at := strings.LastIndexByte(k.name, '.'); at >= 0 {
			list[k.name[:at]] = true
		}
	}
	return list
}
