package registration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/parallel"
)

// Registered is a pair and how it was registered.
type Registered struct {
	Pair data.Pair
	Result
	Err error // why it could not be; wraps ErrUnlike where the images could be read
}

// Pairs registers pairs, in their order. It reports a progress.Stage for each; the error is ctx's or the observer's.
func Pairs(ctx context.Context, pairs []data.Pair, read imagefile.Options, observe progress.Observer,
) ([]Registered, error) {
	return each(ctx, pairs, observe, func(p data.Pair) (r Registered) {
		r.Pair = p
		he, ihc, err := p.Read(read)
		if err == nil {
			r.Result, err = Register(he, ihc)
		}
		r.Err = err
		return r
	})
}

// CoarsePairs is Pairs with Coarse: results have a Transform alone.
func CoarsePairs(ctx context.Context, pairs []data.Pair, read imagefile.Options, observe progress.Observer,
) ([]Registered, error) {
	return each(ctx, pairs, observe, func(p data.Pair) (r Registered) {
		r.Pair = p
		he, ihc, err := p.Read(read)
		if err == nil {
			r.Transform, err = Coarse(he, ihc)
		}
		r.Err = err
		return r
	})
}

// each makes something of every pair, one for each processor at a time.
func each[P, R any](ctx context.Context, pairs []P, observe progress.Observer, f func(P) R) ([]R, error) {
	list := make([]R, len(pairs))
	var lock sync.Mutex
	done := 0
	err := parallel.Each(ctx, len(pairs), runtime.GOMAXPROCS(0), func(i int) error {
		r := f(pairs[i])
		lock.Lock()
		defer lock.Unlock()
		list[i] = r
		done++
		return observe.Report(progress.Stage{Name: "registering pairs", Done: done, Total: len(pairs)})
	})
	return list, err
}

// WriteText sums up how pairs lie, and lists those that lie worst; with all set, every pair.
func WriteText(w io.Writer, list []Registered, all bool) error {
	var b strings.Builder
	found := slices.DeleteFunc(slices.Clone(list), func(r Registered) bool { return r.Err != nil })
	fmt.Fprintf(&b, "registered: %d of %d pairs\n", len(found), len(list))
	if len(found) > 0 {
		for _, m := range []struct {
			name, unit string
			digits     int
			of         func(Registered) float64
		}{
			{"shift", " px", 1, func(r Registered) float64 { return r.Shift() }},
			{"rotation", "°", 2, func(r Registered) float64 { return math.Abs(r.Angle) }},
			{"scale", " %", 2, func(r Registered) float64 { return 100 * math.Abs(r.Scale-1) }},
			{"residual", " px", 2, func(r Registered) float64 { return r.Residual }},
		} {
			var values []float64
			for _, r := range found {
				values = append(values, m.of(r))
			}
			slices.Sort(values)
			at := func(share float64) float64 { return values[int(share*float64(len(values)-1)+0.5)] }
			fmt.Fprintf(&b, "  %-8s  median %.*f%s, 90 %% up to %.*f%s, largest %.*f%s\n", m.name,
				m.digits, at(0.5), m.unit, m.digits, at(0.9), m.unit, m.digits, at(1), m.unit)
		}
	}
	slices.SortStableFunc(found, func(x, y Registered) int {
		switch {
		case x.Shift() > y.Shift():
			return -1
		case x.Shift() < y.Shift():
			return 1
		}
		return 0
	})
	const shown = 5
	write := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s (%d):\n", title, len(lines))
		for i, line := range lines {
			if !all && i == shown {
				fmt.Fprintf(&b, "  … and %d more\n", len(lines)-shown)
				break
			}
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	var shifted, failed []string
	for _, r := range found {
		shifted = append(shifted, fmt.Sprintf("%s: %s", r.Pair.HE, r.Result))
	}
	for _, r := range list {
		switch {
		case errors.Is(r.Err, ErrUnlike):
			failed = append(failed, fmt.Sprintf("%s: %v", r.Pair.HE, r.Err))
		case r.Err != nil:
			failed = append(failed, r.Err.Error())
		}
	}
	write("largest shifts", shifted)
	write("could not be registered", failed)
	_, err := io.WriteString(w, b.String())
	return err
}
