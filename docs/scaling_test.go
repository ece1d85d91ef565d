package docs

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fabric is what connects GPUs. Rates are a GPU's, in one direction; of a network, a GPU's own port.
type fabric struct {
	name    string
	nominal float64       // bytes a second
	latency time.Duration // of a step of the ring
	most    int           // GPUs
}

// What the model of docs/scaling.md assumes.
const (
	microStep  = 201 * time.Millisecond // of 16 images, on an H100: docs/benchmarks.md
	parameters = 860e6
	gradient   = 4 // bytes
	usable     = 0.8
)

func fabrics() []fabric {
	return []fabric{
		{"NVLink of an H100", 450e9, 3 * time.Microsecond, 8},
		{"InfiniBand NDR", 50e9, 5 * time.Microsecond, 64},
		{"25 GbE", 25e9 / 8, 30 * time.Microsecond, 64},
	}
}

// sum is the time of a ring's sum of all gradients over n GPUs: each sends and receives 2·(n−1)/n of the bytes, in
// 2·(n−1) steps.
func (l fabric) sum(n int) time.Duration {
	if n == 1 {
		return 0
	}
	share := 2 * float64(n-1) / float64(n)
	seconds := share * parameters * gradient / (usable * l.nominal)
	return time.Duration(seconds*float64(time.Second)) + time.Duration(2*(n-1))*l.latency
}

// model is the table of docs/scaling.md: the time of a step, and which part of it computes.
func model() string {
	var b strings.Builder
	b.WriteString("| GPUs |")
	for _, l := range fabrics() {
		fmt.Fprintf(&b, " %s, 1 micro-step | 8 micro-steps |", l.name)
	}
	b.WriteString("\n|---:|" + strings.Repeat("---:|", 2*len(fabrics())) + "\n")
	for n := 1; n <= 64; n *= 2 {
		fmt.Fprintf(&b, "| %d |", n)
		for _, l := range fabrics() {
			for _, micro := range []int{1, 8} {
				if n > l.most {
					b.WriteString(" – |")
					continue
				}
				compute := time.Duration(micro) * microStep
				step := compute + l.sum(n)
				fmt.Fprintf(&b, " %.2f s, %.0f %% |", step.Seconds(), 100*compute.Seconds()/step.Seconds())
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// The table of docs/scaling.md is the model's.
func TestModelOfAStep(t *testing.T) {
	text, err := os.ReadFile("scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "<!-- model: docs/scaling_test.go -->\n")
	got, _, _ := strings.Cut(after, "\n\n")
	if diff := cmp.Diff(strings.TrimSpace(model()), strings.TrimSpace(got)); !found || diff != "" {
		t.Errorf("the table (-want +got):\n%s\nwant:\n%s", diff, model())
	}
}
