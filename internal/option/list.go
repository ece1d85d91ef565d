package option

import (
	"os"
	"reflect"
	"strings"
)

// List is an option of several texts. As one text they are separated as in PATH: by colons, on Windows by semicolons. A
// file may also have a list, and a flag may be given several times.
type List []string

// separator is between the elements of a List in one text.
const separator = string(os.PathListSeparator)

// UnmarshalText takes a text apart. Empty elements are left out.
func (l *List) UnmarshalText(text []byte) error {
	*l = nil
	for part := range strings.SplitSeq(string(text), separator) {
		if part != "" {
			*l = append(*l, part)
		}
	}
	return nil
}

// MarshalText puts the elements into one text.
func (l List) MarshalText() ([]byte, error) { return []byte(Join(l...)), nil }

// Join puts texts into that of a List.
func Join(parts ...string) string { return strings.Join(parts, separator) }

// IsList reports whether the option is a List, or a type like it.
func (f Field) IsList() bool {
	return f.Text && f.Var.Kind() == reflect.Slice && f.Var.Type().Elem().Kind() == reflect.String
}
