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
			_, isText := v.Field(i).Addr().Interface().(encoding.TextUnmarshaler)
			if f.Type.Kind() == reflect.Struct && !isText {
				walk(v.Field(i), prefix+name+".")
				continue
			}
			keys = append(keys, key{prefix + name, f.Tag.Get("usage"), v.Field(i)})
		}
	}
	walk(reflect.ValueOf(config).Elem(), "")
	return keys
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
	switch k.field.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	}
	return "a text"
}

// nearest is the known name that is most like one that isn't, "" if none is like it.
func nearest(name string, known []string) string {
	best, at := len(name)/2+1, ""
	for _, k := range known {
		if d := edits(name, k); d < best {
			best, at = d, k
		}
	}
	return at
}

// edits is Levenshtein's distance: how many letters must be put in, left out or changed to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
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
