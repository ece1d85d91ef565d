package schedule_test

import (
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/golden"
)

func parseEta(text string) (eta schedule.Eta, err error) {
	err = eta.UnmarshalText([]byte(text))
	return eta, err
}

// HistDiST's six eta functions, limited to [0,1].
func TestEta(t *testing.T) {
	clipped := readManifest(t).Eta.Clipped
	if len(clipped) == 0 {
		t.Fatal("no eta functions")
	}
	for name, want := range clipped {
		eta, err := parseEta(name)
		if err != nil {
			t.Error(err)
			continue
		}
		got := make([]float64, len(want))
		for i := range got {
			if got[i], err = eta.At(i, len(want)); err != nil {
				t.Fatal(err)
			}
		}
		// The last place of the cosine is the C library's.
		golden.Within(t, got, want, golden.Tolerance{Atol: 2e-16})
	}
}

func TestParseEta(t *testing.T) {
	for text, want := range map[string]string{
		"zero": "zero", "eta_zero": "zero", "linear": "linear", "constant": "constant:0.1", "eta_constant": "constant:0.1",
		"constant:0.3": "constant:0.3", "constant:1": "constant:1", "constant:0": "constant:0", "eta_cosine_min_30": "cosine_min_30",
	} {
		eta, err := parseEta(text)
		if err != nil || eta.String() != want {
			t.Errorf("%q: %v, %v; want %s", text, eta, err, want)
		}
	}
	for _, text := range []string{
		"", "eta_", "cosine", "linear:1", "constant:", "constant:x", "constant:1.1",
		"constant:-0.1", "constant:NaN", "Zero",
	} {
		if eta, err := parseEta(text); err == nil {
			t.Errorf("%q: %v, want an error", text, eta)
		}
	}
}

// The only step of a run of one is where longer runs begin; the reference divides by zero.
func TestEtaOfOneStep(t *testing.T) {
	for _, name := range []string{"zero", "linear", "constant:0.4", "cosine_min_20"} {
		eta, err := parseEta(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := eta.At(0, 1)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := eta.At(0, 7); err != nil || got != want {
			t.Errorf("%s: %v, want %v (%v)", name, got, want, err)
		}
		if _, err := eta.At(0, 0); err == nil {
			t.Errorf("%s: a run without steps has an eta", name)
		}
	}
}

// What is written is read again as the same function.
func TestEtaTextProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float64Range(0, 1).Draw(t, "value")
		eta, err := parseEta("constant:" + strconv.FormatFloat(value, 'g', -1, 64))
		if err != nil {
			t.Fatal(err)
		}
		text, err := eta.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again schedule.Eta
		if err := again.UnmarshalText(text); err != nil {
			t.Fatal(err)
		}
		a, errA := eta.At(1, 3)
		b, errB := again.At(1, 3)
		if errA != nil || errB != nil || math.Float64bits(a) != math.Float64bits(b) {
			t.Fatalf("%s: %v and %v (%v, %v)", text, a, b, errA, errB)
		}
	})
}
