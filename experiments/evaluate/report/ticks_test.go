package report

import (
	"math"
	"testing"

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
	if list := (ticks{}).Ticks(1, 1); list != nil {
		t.Errorf("an axis without length: %v", list)
	}
}
