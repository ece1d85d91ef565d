package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/train"
)

// A log without a terminal has about 1000 lines of steps at most, or those that are asked for, and always the first and
// the last.
func TestLogOfALongRun(t *testing.T) {
	for _, test := range []struct{ steps, every, from, want int }{
		{24, 0, 1, 24}, {1000, 0, 1, 1000}, {1001, 0, 1, 502}, {25800, 0, 1, 517}, {25800, 0, 25701, 3}, {
			25800, 1, 1,
			25800,
		}, {100, 40, 1, 4}, {100, 1000, 1, 2},
	} {
		c := experiments.Default()
		c.Train.MaxSteps, c.Train.LogEvery = test.steps, test.every
		var b strings.Builder
		l := newTrainLog(&b, c)
		for step := test.from; step <= test.steps; step++ {
			if err := l.observe(train.Metrics{Step: step, Steps: test.steps}); err != nil {
				t.Fatal(err)
			}
		}
		l.close()
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != test.want {
			t.Errorf("%d steps, a line every %d: %d lines, want %d", test.steps, test.every, len(lines), test.want)
		}
		for i, step := range map[int]int{0: test.from, len(lines) - 1: test.steps} {
			if want := fmt.Sprintf("step %d/%d ", step, test.steps); !strings.HasPrefix(lines[i], want) {
				t.Errorf("line %q, want %s", lines[i], want)
			}
		}
	}
}

func TestLogSpacing(t *testing.T) {
	var got []int
	for _, steps := range []int{1, 1000, 2000, 2001, 5000, 10000, 25800, 1e6} {
		got = append(got, spacing(steps))
	}
	if diff := cmp.Diff([]int{1, 1, 2, 2, 5, 10, 50, 1000}, got); diff != "" {
		t.Error(diff)
	}
}

// On a terminal one line is drawn again and again, and what is told besides stays above it.
func TestBarOnATerminal(t *testing.T) {
	var b strings.Builder
	bar := &statusBar{w: &b, width: func() int { return 60 }}
	l := &trainLog{w: bar, total: 4, first: true, bar: bar}
	for step := 1; step <= 2; step++ {
		m := train.Metrics{Step: step, Steps: 4, Means: map[string]float64{"generation": 0.5}}
		if err := l.observe(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.observe(train.Saved{Path: "runs/er/checkpoint-2"}); err != nil {
		t.Fatal(err)
	}
	l.close()
	const clear, second = "\r\x1b[K", "step 2/4 [===============               ]  generation 0.5000"
	want := clear + "step 1/4 [=======                       ]  generation 0.5000" + clear + second +
		clear + "saved runs/er/checkpoint-2\n" + second + clear
	// A line of the terminal holds one character less than its width.
	want = strings.ReplaceAll(want, "0.5000", "0.500")
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
