package data

import "fmt"

// FieldError says what is wrong with one value that a user gave: a field of Location or LoaderOptions.
type FieldError struct {
	Field string // as keys and flags name it: dir, he, patient-pattern, crop
	Err   error
}

// Error names the field.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FieldError) Unwrap() error { return e.Err }

func wrong(field, format string, args ...any) error {
	return &FieldError{field, fmt.Errorf(format, args...)}
}
