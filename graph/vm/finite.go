package vm

import (
	"fmt"
	"math"
	"strings"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/finite"
)

// ErrNotFinite is the error of a run with Options.CheckFinite that found a NaN or an infinity.
var ErrNotFinite = finite.Err

// checkFinite checks a call's result. The error names the call's place and gives the ranges of its inputs, as they
// are after the call, a line for each; an input whose memory the result took over is left out.
func (p *Program) checkFinite(c *call, run *run) error {
	if err := p.device.Synchronize(); err != nil {
		return err
	}
	out, err := p.rangeOf(c.out, run)
	if err != nil || out.bad == 0 {
		return err
	}
	const most = 4 // lines on inputs
	var in []string
	for i, v := range c.in {
		if i == most {
			in = append(in, fmt.Sprintf("and %d more", len(c.in)-most))
			break
		}
		if v.overlaps(c.out) {
			in = append(in, fmt.Sprintf("input %d %s %v overwritten", i, v.name, []int(v.shape)))
			continue
		}
		r, err := p.rangeOf(v, run)
		if err != nil {
			return err
		}
		in = append(in, fmt.Sprintf("input %d %s %v %s", i, v.name, []int(v.shape), r))
	}
	return fmt.Errorf("result %v %s: %w\n  %s", []int(c.out.shape), out, ErrNotFinite, strings.Join(in, "\n  "))
}

// span is the range of the finite elements of a value and the number of the others.
type span struct {
	low, high float64
	bad, all  int
}

func (r span) String() string {
	if r.bad == r.all {
		return "has no finite element"
	}
	s := fmt.Sprintf("in [%.6g, %.6g]", r.low, r.high)
	if r.bad > 0 {
		s += fmt.Sprintf(" with %d of %d not finite", r.bad, r.all)
	}
	return s
}

func (p *Program) rangeOf(v operand, run *run) (span, error) {
	r := span{low: math.Inf(1), high: math.Inf(-1), all: op.Size(v.shape)}
	if v.dtype == device.Int32 {
		return span{}, nil
	}
	h, err := p.download(v, run, !p.device.HostMemory())
	if err != nil {
		return r, err
	}
	for i := range r.all {
		x := h.at(i)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			r.bad++
			continue
		}
		r.low, r.high = min(r.low, x), max(r.high, x)
	}
	return r, nil
}
