package report

import (
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// ticks are four to ten round numbers; none on an axis without a length that numbers can divide.
type ticks struct{}

// maxTicks bounds the ticks of an axis, whatever its ends.
const maxTicks = 11

// Ticks implements plot.Ticker.
func (ticks) Ticks(low, high float64) []plot.Tick {
	length, largest := high-low, max(math.Abs(low), math.Abs(high))
	if !(length > max(1e-12*largest, 1e-300)) || math.IsInf(length, 0) { // NaN too
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(length/4)))
	if !(step > 0) {
		return nil
	}
	for _, factor := range []float64{5, 2} {
		if length/(factor*step) >= 4 {
			step *= factor
			break
		}
	}
	decimals := max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	digits := 2 + int(math.Log10(largest/step))
	first := math.Ceil(low/step - 1e-9)
	var list []plot.Tick
	for k := range maxTicks {
		v := (first + float64(k)) * step
		if v > high+1e-9*step || math.IsInf(v, 0) {
			break
		}
		label := strconv.FormatFloat(math.Abs(v), 'f', decimals, 64)
		if decimals > 9 || largest >= 1e9 {
			label = strconv.FormatFloat(math.Abs(v), 'g', digits, 64)
		}
		if v < 0 {
			label = "−" + label
		}
		list = append(list, plot.Tick{Value: v, Label: label})
	}
	return list
}

// powers are ticks at powers of ten, or every n-th if there are many; none on an axis that isn't positive.
type powers struct{}

var superscript = strings.NewReplacer(
	"-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹")

// Ticks implements plot.Ticker.
func (powers) Ticks(low, high float64) []plot.Tick {
	if !(low > 0 && high >= low) || math.IsInf(high, 0) {
		return nil
	}
	first, last := int(math.Floor(math.Log10(low))), int(math.Ceil(math.Log10(high))) // −324 to 309
	every := 1 + (last-first)/maxTicks
	var list []plot.Tick
	for e := first; e <= last; e++ {
		if v := math.Pow(10, float64(e)); e%every == 0 && v >= low*0.999 && v <= high*1.001 && !math.IsInf(v, 0) {
			list = append(list, plot.Tick{Value: v, Label: "10" + superscript.Replace(strconv.Itoa(e))})
		}
	}
	return list
}
