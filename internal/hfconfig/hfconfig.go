// Package hfconfig reads the config.json files of diffusers and transformers onto defaults, since old files lack keys,
// and refuses values that this program doesn't implement: silently building another network is worse than none.
package hfconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Fixed lists keys of which only some values are implemented. A file may omit such a key or give it one of these; nil
// is null.
type Fixed map[string][]any

// ReadFile reads a text without the byte order mark that some editors put before UTF-8. One in UTF-16 is refused.
func ReadFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(text, []byte(mark)) {
			return nil, fmt.Errorf("%s: the text is in UTF-16: save it as UTF-8", path)
		}
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), nil
}

// Read decodes a file: see Decode. Its errors begin with the path.
func Read(path string, config any, fixed Fixed) error {
	text, err := ReadFile(path)
	if err != nil {
		return err
	}
	if err := Decode(text, config, fixed); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Load reads a file onto the defaults and validates what comes of it. Its errors begin with the path.
func Load[C interface{ Validate() error }](path string, defaults C, fixed Fixed) (C, error) {
	c := defaults
	if err := Read(path, &c, fixed); err != nil {
		return c, err
	}
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Positive reports the keys whose numbers are less than 1, in alphabetical order.
func Positive(numbers map[string]int) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(numbers)) {
		if n := numbers[key]; n < 1 {
			errs = append(errs, fmt.Errorf("%s: %d: want 1 or more", key, n))
		}
	}
	return errors.Join(errs...)
}

// Decode reads a JSON object onto config, a pointer to a struct that holds the defaults. A key that is null leaves its
// default, unless the field's tag says null:"refused": null is another network then. Keys that neither config nor fixed
// knows are passed over, as diffusers does. All errors are reported at once.
func Decode(text []byte, config any, fixed Fixed) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return fmt.Errorf("not a JSON object: %w", err)
	}
	var errs []error
	v := reflect.ValueOf(config).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		key, _, _ := strings.Cut(tag.Get("json"), ",")
		raw, ok := keys[key]
		if !ok || bytes.Equal(raw, []byte("null")) && tag.Get("null") != "refused" {
			continue
		}
		if err := json.Unmarshal(raw, v.Field(i).Addr().Interface()); err != nil || bytes.Equal(raw, []byte("null")) {
			errs = append(errs, fmt.Errorf("%s: %s: want %s", key, shorten(raw), kindOf(v.Field(i).Type())))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fixed)) {
		if raw, ok := keys[key]; ok && !allowed(raw, fixed[key]) {
			errs = append(errs, fmt.Errorf("%s: %s is not supported: want %s", key, shorten(raw), list(fixed[key])))
		}
	}
	return errors.Join(errs...)
}

func allowed(raw json.RawMessage, values []any) bool {
	var got any
	if json.Unmarshal(raw, &got) != nil {
		return false
	}
	for _, want := range values {
		if n, ok := want.(int); ok {
			want = float64(n)
		}
		if reflect.DeepEqual(got, want) {
			return true
		}
	}
	return false
}

func list(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			b = []byte(fmt.Sprint(v))
		}
		texts[i] = string(b)
	}
	return strings.Join(texts, " or ")
}

func shorten(raw json.RawMessage) string {
	const limit = 60
	if len(raw) > limit {
		return string(raw[:limit]) + "…"
	}
	return string(raw)
}

func kindOf(t reflect.Type) string {
	// Such as unet.PerLevel.
	if t.Kind() == reflect.Slice && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return "a number or a list of numbers"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "a list: each " + kindOf(t.Elem())
	case reflect.Int:
		return "an integer"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	}
	return "a " + t.Kind().String()
}
