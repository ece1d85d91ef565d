package schedule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Eta is η over the course of a run, the share of a step's noise that is fresh: from 0, none (DDIM), to 1, all (DDPM).
// The zero value is 0 throughout.
type Eta struct {
	name string
	at   func(x float64) float64
}

// defaultEta is the value of HistDiST's eta_constant.
const defaultEta = 0.1

// EtaZero is 0 throughout: a deterministic run.
func EtaZero() Eta { return Eta{} }

// EtaCosineMin20 rises from 0.2 to 1 along half a cosine: 0.6 − 0.4·cos πx.
func EtaCosineMin20() Eta { return cosine("cosine_min_20", 0.6, 0.4) }

// EtaCosineMin30 rises from 0.3 to 1 along half a cosine: 0.65 − 0.35·cos πx.
func EtaCosineMin30() Eta { return cosine("cosine_min_30", 0.65, 0.35) }

func cosine(name string, middle, amplitude float64) Eta {
	return Eta{name, func(x float64) float64 { return middle - float64(amplitude*math.Cos(math.Pi*x)) }}
}

func constant(value float64) Eta {
	return Eta{"constant:" + strconv.FormatFloat(value, 'g', -1, 64), func(float64) float64 { return value }}
}

// UnmarshalText reads η as a flag or a configuration has it: zero, linear (from 0 to 1), cosine_min_10, cosine_min_20,
// cosine_min_30, constant (0.1) or constant:VALUE with a number in [0,1]. HistDiST's own names, eta_zero and so on,
// mean the same.
func (e *Eta) UnmarshalText(text []byte) error {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(string(text), "eta_"), ":")
	switch {
	case hasValue && name == "constant":
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("eta %q: %q is not a number", text, value)
		}
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("eta %q: want a number from 0 to 1", text)
		}
		*e = constant(v)
		return nil
	case hasValue:
	case name == "zero":
		*e = EtaZero()
		return nil
	case name == "constant":
		*e = constant(defaultEta)
		return nil
	case name == "linear":
		*e = Eta{"linear", func(x float64) float64 { return x }}
		return nil
	case name == "cosine_min_10":
		*e = cosine(name, 0.55, 0.45)
		return nil
	case name == "cosine_min_20":
		*e = EtaCosineMin20()
		return nil
	case name == "cosine_min_30":
		*e = EtaCosineMin30()
		return nil
	}
	return fmt.Errorf("eta %q: want zero, linear, cosine_min_10, cosine_min_20, cosine_min_30, constant or constant:VALUE",
		text)
}

// String is the name that UnmarshalText reads.
func (e Eta) String() string {
	if e.at == nil {
		return "zero"
	}
	return e.name
}

func (e Eta) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// none reports whether η is 0 throughout.
func (e Eta) none() bool { return e.at == nil || e.at(0) == 0 && e.at(1) == 0 }

// At is η of step i = 0, 1, … of a run of n steps: the function at x = i/(n−1), limited to [0,1]. The only step of a
// run of one is at x = 0, as linspace has it; HistDiST has no such run.
func (e Eta) At(i, n int) (float64, error) {
	if n < 1 {
		return 0, fmt.Errorf("eta of a run of %d steps: want 1 or more", n)
	}
	if e.at == nil {
		return 0, nil
	}
	return min(max(e.at(float64(i)/float64(max(n-1, 1))), 0), 1), nil
}
