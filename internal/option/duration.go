package option

import (
	"fmt"
	"strings"
	"time"
)

// Duration is an option's length of time, as 90s, 15m or 168h; more than zero.
type Duration time.Duration

// UnmarshalText takes a number with a unit.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("want a length of time above zero, such as 90s, 15m or 168h")
	}
	*d = Duration(v)
	return nil
}

// MarshalText leaves out units that are zero: 168h.
func (d Duration) MarshalText() ([]byte, error) {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return []byte(text), nil
}
