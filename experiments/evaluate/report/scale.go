package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"github.com/histdist/histdist/experiments/evaluate"
)

// scale draws a metric's value among its references: a line for the interval, a dot for the value, a square for the
// floor, a diamond for the ceiling, a tick for chance. Better is to the right.
func scale(m evaluate.Metric) template.HTML {
	const w, h, edge = 132.0, 18.0, 8.0
	low, high := math.Inf(1), math.Inf(-1)
	take := func(n evaluate.Number) {
		if v := float64(n); drawable(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	take(m.Value)
	references := 0
	for _, r := range []*evaluate.Reference{m.Floor, m.Ceiling, m.Chance} {
		if r != nil {
			take(r.Value)
			references++
		}
	}
	spread := m.Interval
	if spread == nil && m.Std != nil {
		spread = &evaluate.Interval{Low: m.Value - *m.Std, High: m.Value + *m.Std}
	}
	if spread != nil {
		take(spread.Low)
		take(spread.High)
	}
	if target, ok := target(m); ok {
		take(target)
	}
	if references == 0 || !(high > low) || !drawable(float64(m.Value)) {
		return ""
	}
	at := func(n evaluate.Number) float64 {
		v := math.Max(low, math.Min(high, float64(n)))
		part := (v - low) / (high - low)
		if m.Better == evaluate.Lower {
			part = 1 - part
		}
		return edge + part*(w-2*edge)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="scale" viewBox="0 0 %g %g" width="%g" height="%g" aria-hidden="true">`, w, h, w, h)
	fmt.Fprintf(&b, `<line class="axis" x1="%g" x2="%g" y1="9" y2="9"/>`, edge, w-edge)
	if m.Better == evaluate.Zero || m.Better == evaluate.One {
		if target, _ := target(m); float64(target) >= low && float64(target) <= high {
			fmt.Fprintf(&b, `<line class="target" x1="%[1]g" x2="%[1]g" y1="3" y2="15"/>`, at(target))
		}
	}
	if r := m.Chance; r != nil && r.Value.Known() {
		fmt.Fprintf(&b, `<line class="chance" x1="%[1]g" x2="%[1]g" y1="3" y2="15"/>`, at(r.Value))
	}
	if r := m.Floor; r != nil && r.Value.Known() {
		fmt.Fprintf(&b, `<rect class="floor" x="%g" y="5.5" width="7" height="7"/>`, at(r.Value)-3.5)
	}
	if r := m.Ceiling; r != nil && r.Value.Known() {
		x := at(r.Value)
		fmt.Fprintf(&b, `<path class="ceiling" d="M%g 9l4.6-4.6l4.6 4.6l-4.6 4.6z"/>`, x-4.6)
	}
	if spread != nil && spread.Low.Known() && spread.High.Known() {
		fmt.Fprintf(&b, `<line class="interval" x1="%g" x2="%g" y1="9" y2="9"/>`, at(spread.Low), at(spread.High))
	}
	fmt.Fprintf(&b, `<circle class="value" cx="%g" cy="9" r="3.4"/></svg>`, at(m.Value))
	return template.HTML(b.String())
}

// target is the perfect value of a difference or a ratio.
func target(m evaluate.Metric) (evaluate.Number, bool) {
	switch m.Better {
	case evaluate.Zero:
		return 0, true
	case evaluate.One:
		return 1, true
	}
	return 0, false
}
