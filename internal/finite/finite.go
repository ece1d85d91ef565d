// Package finite finds numbers that must not go on: NaN, infinities, and values so large that the next square makes one of them. What
// reads values from a file or from a network, and what writes values to a file, asks it.
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

// Error names the first value that is none or too large.
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

// Check returns nil if the magnitude of every value is below 2^limit, else an *Error for the first that is not. NaN is below nothing.
func Check(name string, values []float32, limit int) error {
	if i := Index(values, limit); i >= 0 {
		return &Error{name, i, values[i]}
	}
	return nil
}

// Index is where the first value lies that Check reports, −1 if there is none.
func Index(values []float32, limit int) int {
	bound := uint32(127+limit) << 23 // the bits of 2^limit; those of infinity for Any
	for i, v := range values {
		if math.Float32bits(v)&^(1<<31) >= bound {
			return i
		}
	}
	return -1
}
