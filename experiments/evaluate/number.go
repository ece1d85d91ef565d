package evaluate

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Number is a float64 whose JSON can hold what JSON's numbers can't: NaN, +Inf and -Inf become texts.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return json.Marshal(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("number %q: %w", text, err)
		}
		*n = Number(v)
		return nil
	}
	return json.Unmarshal(data, (*float64)(n))
}

// Known reports whether there is a number.
func (n Number) Known() bool { return !math.IsNaN(float64(n)) }

// Text is the number with some decimals, "–" where there is none; a large one has fewer digits, or a power of ten.
func (n Number) Text(decimals int) string {
	v := float64(n)
	switch {
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "−∞"
	}
	text := strconv.FormatFloat(math.Abs(v), 'f', decimals, 64)
	switch {
	case math.Abs(v) >= 1e7:
		text = strconv.FormatFloat(math.Abs(v), 'e', 3, 64)
	case math.Abs(v) >= 1e4:
		text = strconv.FormatFloat(math.Abs(v), 'f', min(decimals, 1), 64)
	}
	if v < 0 && hasDigit(text) { // no −0.000
		return "−" + text
	}
	return text
}

// hasDigit reports whether a number's text is not 0.
func hasDigit(text string) bool {
	for _, r := range text {
		if r >= '1' && r <= '9' {
			return true
		}
	}
	return false
}
