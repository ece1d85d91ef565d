package schedule

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Eta is η over the course of a run: how much of a step's noise is fresh, 0 none (DDIM), 1 all (DDPM). The zero value is zero
// throughout.
type Eta struct {
	name string
	at   func(x float64) float64
}

// defaultEta is the value of HistDiST's eta_constant.
const defaultEta = 0.1

// EtaZero is 0 throughout: a deterministic run.
func EtaZero() Eta { return Eta{} }

// EtaConstant is a number in [0,1] throughout; HistDiST's is 0.1.
func EtaConstant(value float64) (Eta, error) {
	if !(value >= 0 && value <= 1) {
		return Eta{}, fmt.Errorf("eta is %v, want 0 to 1", value)
	}
	name := "constant:" + strconv.FormatFloat(value, 'g', -1, 64)
	return Eta{name, func(float64) float64 { return value }}, nil
}

// EtaLinear rises from 0 to 1.
func EtaLinear() Eta { return Eta{"linear", func(x float64) float64 { return x }} }

// EtaCosineMin10 rises from 0.1 to 1 along half a cosine: 0.55 − 0.45·cos πx.
func EtaCosineMin10() Eta { return cosine("cosine_min_10", 0.55, 0.45) }

// EtaCosineMin20 rises from 0.2 to 1 along half a cosine: 0.6 − 0.4·cos πx.
func EtaCosineMin20() Eta { return cosine("cosine_min_20", 0.6, 0.4) }

// EtaCosineMin30 rises from 0.3 to 1 along half a cosine: 0.65 − 0.35·cos πx.
func EtaCosineMin30() Eta { return cosine("cosine_min_30", 0.65, 0.35) }

func cosine(name string, middle, amplitude float64) Eta {
	return Eta{name, func(x float64) float64 { return middle - float64(amplitude*math.Cos(math.Pi*x)) }}
}

// ParseEta reads η as a flag or a configuration has it: zero, linear, cosine_min_10, cosine_min_20, cosine_min_30, constant (0.1) or
// constant:VALUE with a number in [0,1]; HistDiST's own names, eta_zero and so on, mean the same.
func ParseEta(text string) (Eta, error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(text, "eta_"), ":")
	if hasValue && name == "constant" {
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return Eta{}, fmt.Errorf("eta %q: %q is not a number", text, value)
		}
		e, err := EtaConstant(v)
		if err != nil {
			return Eta{}, fmt.Errorf("eta %q: %w", text, err)
		}
		return e, nil
	}
	if !hasValue {
		switch name {
		case "zero":
			return EtaZero(), nil
		case "constant":
			return EtaConstant(defaultEta)
		case "linear":
			return EtaLinear(), nil
		case "cosine_min_10":
			return EtaCosineMin10(), nil
		case "cosine_min_20":
			return EtaCosineMin20(), nil
		case "cosine_min_30":
			return EtaCosineMin30(), nil
		}
	}
	return Eta{}, fmt.Errorf("eta %q: want zero, linear, cosine_min_10, cosine_min_20, cosine_min_30, constant or constant:VALUE", text)
}

// String is the name that ParseEta reads.
func (e Eta) String() string {
	if e.at == nil {
		return "zero"
	}
	return e.name
}

// MarshalText is String.
func (e Eta) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText is ParseEta.
func (e *Eta) UnmarshalText(text []byte) error {
	parsed, err := ParseEta(string(text))
	if err != nil {
		return err
	}
	*e = parsed
	return nil
}

// At is η of step i = 0, 1, … of a run of n steps: the function at x = i/(n−1), limited to [0,1]. A run of one step has no x, in
// HistDiST neither, and is an error.
func (e Eta) At(i, n int) (float64, error) {
	if n < 2 {
		return 0, fmt.Errorf("eta of a run of %d steps: want 2 or more, for it is a function of i/(steps−1)", n)
	}
	if e.at == nil {
		return 0, nil
	}
	return min(max(e.at(float64(i)/float64(n-1)), 0), 1), nil
}
