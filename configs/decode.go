package configs

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decode sets an option from a text in a file, the environment or a flag. Nothing is rounded or taken for another kind
// of value.
func decode(field reflect.Value, w written) error {
	target := reflect.New(field.Type())
	v := target.Elem()
	if u, ok := target.Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(w.text)); err != nil {
			return err
		}
		field.Set(v)
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		if w.tag != "" && w.tag != "!!str" && w.tag != "!!merge" { // << is a text
			return fmt.Errorf("want a text: write %q, in quotes", w.text)
		}
		v.SetString(w.text)
	case reflect.Bool:
		b, err := boolean(w.text)
		if err != nil {
			return err
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := whole(w.text)
		if err != nil {
			return err
		}
		v.SetInt(n)
	case reflect.Uint32:
		n, err := whole(w.text)
		if err != nil {
			return err
		}
		if n < 0 || n > math.MaxUint32 {
			return fmt.Errorf("want a whole number from 0 to %d", uint32(math.MaxUint32))
		}
		v.SetUint(uint64(n))
	case reflect.Float64:
		x, err := number(w.text)
		if err != nil {
			return err
		}
		v.SetFloat(x)
	default:
		return fmt.Errorf("a value of the type %s can't be set", v.Type())
	}
	field.Set(v)
	return nil
}

func boolean(text string) (bool, error) {
	switch text {
	case "true", "True", "TRUE":
		return true, nil
	case "false", "False", "FALSE":
		return false, nil
	case "yes", "Yes", "YES", "on", "On", "ON", "1", "y", "Y":
		return false, errors.New("want true or false: write true")
	case "no", "No", "NO", "off", "Off", "OFF", "0", "n", "N":
		return false, errors.New("want true or false: write false")
	}
	return false, errors.New("want true or false")
}

// whole reads a whole number in Go's notation: 1000, 1_000 or 0x3e8. A point or an exponent is refused even where
// nothing would be lost, and so is a leading zero, which means octal to some.
func whole(text string) (int64, error) {
	digits := strings.TrimLeft(text, "+-")
	n, err := strconv.ParseInt(text, 0, 64)
	switch {
	case len(digits) > 1 && digits[0] == '0' && strings.Trim(digits, "0123456789_") == "":
		return 0, fmt.Errorf("want a whole number without a leading zero")
	case err == nil:
		return n, nil
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("too large: want a whole number from %d to %d", math.MinInt64, math.MaxInt64)
	}
	x, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(x):
	case math.Abs(x) >= 1<<63:
		return 0, fmt.Errorf("too large: want a whole number from %d to %d", math.MinInt64, math.MaxInt64)
	case x == math.Trunc(x) && math.Abs(x) < 1<<53:
		return 0, fmt.Errorf("want a whole number without point and exponent: write %d", int64(x))
	}
	return 0, errors.New("want a whole number")
}

// number reads a finite number.
func number(text string) (float64, error) {
	if n, err := whole(text); err == nil {
		return float64(n), nil
	}
	x, err := strconv.ParseFloat(text, 64)
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("too large: want a number up to %g", math.MaxFloat64)
	case err != nil && !slices.Contains([]string{".inf", "-.inf", ".nan"}, strings.ToLower(text)):
		return 0, errors.New("want a number")
	case err != nil || math.IsNaN(x) || math.IsInf(x, 0):
		return 0, errors.New("want a finite number")
	case x == 0 && strings.ContainsAny(mantissa, "123456789"):
		return 0, fmt.Errorf("too small: want 0, or a number from %g on", math.SmallestNonzeroFloat64)
	}
	return x, nil
}
