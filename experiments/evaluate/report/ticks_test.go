package report

import (
	"math"
	"testing"

	"gonum.org/v1/plot"
	"pgregory.net/rapid"
)

// Ticks lie inside the axis, are as many as one can read, and their labels differ.
func TestTicks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(-1e5, 1e5).Draw(t, "low")
		high := low + rapid.Float64Range(1e-3, 1e6).Draw(t, "length")
		list := ticks{}.Ticks(low, high)
		if len(list) < 3 || len(list) > 11 {
			t.Fatalf("%d ticks from %v to %v", len(list), low, high)
		}
		labels := map[string]bool{}
		for _, tick := range list {
			if room := 1e-6 * (high - low); tick.Value < low-room || tick.Value > high+room {
				t.Fatalf("a tick at %v outside %v to %v", tick.Value, low, high)
			}
			labels[tick.Label] = true
		}
		if len(labels) != len(list) && high-low > 1e-6*math.Abs(low) {
			t.Fatalf("ticks from %v to %v have the labels %v", low, high, list)
		}
	})
}

// Whatever the ends of an axis are, its ticks are few, rise, and lie in it. Both kinds count with integers up to a
// bound: a range that is empty, infinite or finer than floats would otherwise fill the memory.
func TestTicksOfAnyRange(t *testing.T) {
	check := func(t rapid.TB, low, high float64) {
		for _, ticker := range []plot.Ticker{ticks{}, powers{}} {
			list := ticker.Ticks(low, high)
			if len(list) > 2*maxTicks {
				t.Fatalf("%T: %d ticks from %v to %v", ticker, len(list), low, high)
			}
			for i, tick := range list {
				if room := 1e-3 * max(math.Abs(low), math.Abs(high)); !(tick.Value >= low-room && tick.Value <= high+room) {
					t.Fatalf("%T: a tick at %v outside %v to %v", ticker, tick.Value, low, high)
				}
				if i > 0 && !(tick.Value > list[i-1].Value) {
					t.Fatalf("%T from %v to %v: a tick at %v after %v", ticker, low, high, tick.Value, list[i-1].Value)
				}
			}
		}
	}
	odd := []float64{
		math.NaN(),
		math.Inf(-1),
		-math.MaxFloat64,
		-1e300,
		-1,
		-math.SmallestNonzeroFloat64,
		0,
		math.SmallestNonzeroFloat64,
		1e-300,
		1,
		math.Nextafter(1, 2),
		2,
		1e16,
		1e16 + 2,
		1e300,
		math.Nextafter(1e300, 2e300),
		math.MaxFloat64,
		math.Inf(1),
	}
	for _, low := range odd {
		for _, high := range odd {
			check(t, low, high)
		}
	}
	anything := rapid.Custom(func(t *rapid.T) float64 { return math.Float64frombits(rapid.Uint64().Draw(t, "bits")) })
	rapid.Check(t, func(t *rapid.T) { check(t, anything.Draw(t, "low"), anything.Draw(t, "high")) })
	rapid.Check(t, func(t *rapid.T) {
		low := anything.Draw(t, "low")
		check(t, low, low+math.Abs(low)*rapid.Float64Range(0, 1e-9).Draw(t, "length"))
	})
}
