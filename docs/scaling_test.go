package docs

import (
	"fmt"
	"math/bits"
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
	latency time.Duration // of a step of a ring or tree
	most    int           // GPUs
}

// What the model of docs/scaling.md assumes.
const (
	microStep  = 201 * time.Millisecond // of 16 images, on an H100: docs/benchmarks.md
	parameters = 860e6
	gradient   = 4 // bytes
	usable     = 0.8

	// Of the U-Net's training step, by go test ./train -run BucketsOfStableDiffusion.
	buckets  = 70
	backward = 0.7
)

func fabrics() []fabric {
	return []fabric{
		{"NVLink of an H100", 450e9, 3 * time.Microsecond, 8},
		{"InfiniBand NDR", 50e9, 5 * time.Microsecond, 64},
		{"25 GbE", 25e9 / 8, 30 * time.Microsecond, 64},
	}
}

// sum is the time of the sum of a bucket over n GPUs: each sends and receives 2·(n−1)/n of the bytes, in 2·(n−1) steps
// of a ring or 2·log₂(n) of a tree.
func (l fabric) sum(n int) time.Duration {
	if n == 1 {
		return 0
	}
	share := 2 * float64(n-1) / float64(n)
	seconds := share * parameters * gradient / buckets / (usable * l.nominal)
	steps := min(2*(n-1), 2*bits.Len(uint(n-1)))
	return time.Duration(seconds*float64(time.Second)) + time.Duration(steps)*l.latency
}

// step is the time of a step of some micro-steps. The buckets become ready evenly over the last backward pass.
func (l fabric) step(n, micro int) time.Duration {
	begin := time.Duration(float64(microStep) * (float64(micro) - backward)) // of that pass
	var done time.Duration
	for i := 1; i <= buckets; i++ {
		ready := begin + time.Duration(backward*float64(microStep)*float64(i)/buckets)
		done = max(done, ready) + l.sum(n)
	}
	return done
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
				step := l.step(n, micro)
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
