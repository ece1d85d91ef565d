// Package finite rejects NaN, infinities, and values so large that their squares would overflow. Whatever reads values
// from a file or a network, or writes them to a file, uses it.
package finite

import (
	"errors"
	"fmt"
	"math"
)

// Err is what every *Error wraps.
var Err = errors.New("not finite")

// Limits of Check, as exponents of 2 that values must stay below.
const (
	Any     = 128 // all finite numbers
	Squares = 64  // numbers whose squares float32 holds, as norms and variances take them
	Image   = 14  // values of an image, which are within about ±1, with much room
)

// Error names the first value that is not finite or too large.
type Error struct {
	Name  string // of the tensor
	Index int    // of the value
	Value float32
}

// Error says which value it is.
func (e *Error) Error() string {
	what := "not finite"
	if f := float64(e.Value); !math.IsNaN(f) && !math.IsInf(f, 0) {
		what = "too large"
	}
	return fmt.Sprintf("%s: value %d is %g: %s", e.Name, e.Index, e.Value, what)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return Err }

// Check returns an *Error for the first value that is NaN or whose magnitude is not below 2^limit; nil if there is
// none.
func Check(name string, values []float32, limit int) error {
	if i := Index(values, limit); i >= 0 {
		return &Error{name, i, values[i]}
	}
	return nil
}

// Index returns the index of the first value that Check reports, −1 if there is none.
func Index(values []float32, limit int) int {
	bound := uint32(127+limit) << 23 // the bits of 2^limit; those of infinity for Any
	for i, v := range values {
		if math.Float32bits(v)&^(1<<31) >= bound {
			return i
		}
	}
	return -1
}
