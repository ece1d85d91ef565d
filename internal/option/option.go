// Package option describes options by the tags of a struct's fields, and checks their values. The struct lives with the
// package that uses the options; package configs fills it from files, the environment and flags.
//
//	Steps int `key:"steps" want:"1 or more" usage:"optimisation steps of the run"`
//
// The tags:
//   - key: the name; without it, json is
//   - want: the valid values, see Check
//   - usage: what it means
//   - was: a name that it had before
package option

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// KeyError is an error in the value of one option.
type KeyError struct {
	Key string // with its sections: train.steps
	Err error
}

// Error is KEY: CAUSE.
func (e *KeyError) Error() string { return e.Key + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

// Wrong returns a KeyError.
func Wrong(key, format string, args ...any) error { return &KeyError{key, fmt.Errorf(format, args...)} }

// In puts a section in front of the keys of all KeyErrors in err, which may be joined.
func In(section string, err error) error {
	var list []error
	for _, e := range Split(err) {
		if k := (*KeyError)(nil); errors.As(e, &k) {
			e = &KeyError{section + "." + k.Key, k.Err}
		}
		list = append(list, e)
	}
	return errors.Join(list...)
}

// Split takes joined errors apart.
func Split(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) // one level at a time
	switch {
	case err == nil:
		return nil
	case !ok:
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, Split(e)...)
	}
	return list
}

// Field is an option of a struct.
type Field struct {
	Key         string // with its sections: train.steps
	Was         string // its earlier key, "" if none
	Usage, Want string
	Var         reflect.Value // of the struct's field
	Text        bool          // the value is written as text, whatever its kind
}

// Fields lists the options of a struct or a pointer to one. A nested struct is a section; an embedded one's options
// belong to the struct around it.
func Fields(config any) []Field { return fields(reflect.ValueOf(config)) }

func fields(config reflect.Value) (list []Field) {
	walk(config, func(f Field) { list = append(list, f) }, func(section string, v reflect.Value) {
		for _, f := range fields(v) {
			if section != "" {
				f.Key = section + "." + f.Key
				if f.Was != "" {
					f.Was = section + "." + f.Was
				}
			}
			list = append(list, f)
		}
	})
	return list
}

// walk visits the options of a struct itself, and the structs in it: sections and, without a name, embedded ones.
func walk(config reflect.Value, leaf func(Field), inner func(section string, v reflect.Value)) {
	v := reflect.Indirect(config)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		tag := f.Tag.Get
		name, _, _ := strings.Cut(cmp.Or(tag("key"), tag("json")), ",")
		text := reflect.PointerTo(f.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
		switch {
		case f.Anonymous:
			inner("", v.Field(i))
		case name == "":
		case f.Type.Kind() == reflect.Struct && !text:
			inner(name, v.Field(i))
		default:
			leaf(Field{Key: name, Was: tag("was"), Usage: tag("usage"), Want: tag("want"), Var: v.Field(i), Text: text})
		}
	}
}

// Elements are the options of each element of an option that is a list of structs, with their defaults; else nil. An
// element may set its defaults by a method Defaults.
func (f Field) Elements() []Field {
	if f.Text || f.Var.Kind() != reflect.Slice || f.Var.Type().Elem().Kind() != reflect.Struct {
		return nil
	}
	element := reflect.New(f.Var.Type().Elem())
	if d, ok := element.Interface().(interface{ Defaults() }); ok {
		d.Defaults()
	}
	return fields(element)
}

// Kind names the kind of the option's values: text, number, whole number, list, or true or false.
func (f Field) Kind() string {
	switch kind := f.Var.Kind(); {
	case f.Elements() != nil:
		return "list"
	case f.Text || kind == reflect.String:
		return "text"
	case kind == reflect.Bool:
		return "true or false"
	case kind == reflect.Float64:
		return "number"
	}
	return "whole number"
}

// Choices lists the values of an option that takes only a few, else nil.
func (f Field) Choices() []string {
	if f.Var.Kind() == reflect.Bool {
		return []string{"true", "false"}
	}
	if f.Kind() != "text" || f.Want == "" {
		return nil
	}
	list := strings.Split(strings.ReplaceAll(f.Want, " or ", ", "), ", ")
	return slices.DeleteFunc(list, func(s string) bool { return s == "empty" })
}

// Check reports every option of a struct whose value is not what its tag want says. Texts are one of a list, "a, b or
// c", in which "empty" is no text; numbers are finite and keep to the bounds "A or more", "A to B", "above A", "below
// A" or two of these with a comma in between. A section or an embedded struct with a method Validate is checked by that
// instead. Errors are KeyErrors, joined.
func Check(config any) error { return check(reflect.ValueOf(config)) }

func check(config reflect.Value) error {
	var errs []error
	walk(config, func(f Field) {
		if f.Want == "" || f.valid() {
			return
		}
		format := "%v: want %s"
		if f.Kind() == "text" {
			format = "%q: want %s"
		}
		errs = append(errs, Wrong(f.Key, format, f.Var.Interface(), f.Want))
	}, func(section string, v reflect.Value) {
		var c interface{ Validate() error }
		if v.CanInterface() {
			c, _ = v.Interface().(interface{ Validate() error })
		}
		var err error
		if c != nil {
			err = c.Validate()
		} else {
			err = check(v)
		}
		if section != "" {
			err = In(section, err)
		}
		errs = append(errs, err)
	})
	return errors.Join(errs...)
}

func (f Field) valid() bool {
	if f.Kind() == "text" {
		text := fmt.Sprint(f.Var.Interface())
		return slices.Contains(f.Choices(), text) || text == "" && strings.Contains(f.Want, "empty")
	}
	var x float64
	switch v := f.Var; v.Kind() {
	case reflect.Float64:
		x = v.Float()
	case reflect.Uint32:
		x = float64(v.Uint())
	default:
		x = float64(v.Int())
	}
	for bound := range strings.SplitSeq(f.Want, ", ") {
		var a, b string
		var ok bool
		words := strings.Fields(bound)
		switch a, b = words[0], words[len(words)-1]; {
		case a == "above":
			ok = x > number(b)
		case a == "below":
			ok = x < number(b)
		case b == "more":
			ok = x >= number(a)
		default:
			ok = x >= number(a) && x <= number(b)
		}
		if !ok || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// OneOf sets an option to a text that is one of its names. what the option is called begins the error.
func OneOf[T ~string](to *T, text []byte, what string, names ...T) error {
	if !slices.Contains(names, T(text)) {
		return fmt.Errorf("%s %q: want one of %v", what, text, names)
	}
	*to = T(text)
	return nil
}

// number reads a bound, which a tag holds: what isn't one is a bound that no value keeps to.
func number(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return x
}
