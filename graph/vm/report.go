package vm

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/histdist/histdist/graph/op"
)

// stats are a step's costs.
type stats struct {
	time         time.Duration // over all runs
	flops, bytes int64         // in one run; bytes are of inputs and output
}

// MemoryReport is a program's memory, in bytes.
type MemoryReport struct {
	Arena      int64 // values and workspaces
	LowerBound int64 // the largest sum of what must be held at once: no arena is smaller
	Packed     int64 // weights that kernels hold rearranged or rounded
	Copies     int64 // parameters that the device can't read in place
}

// StepReport is one operation of a program.
type StepReport struct {
	Place     string // "unet: mid_block.resnets.0: Conv2D"
	Op        string
	Algorithm string
	Nodes     int           // 1, or how many a sum is of
	Time      time.Duration // of one run, on average
	FLOP      int64
	Bytes     int64 // of inputs and output
}

// gflops is the rate in 10⁹ floating-point operations a second; 0 before the first run.
func (s StepReport) gflops() float64 {
	if s.Time <= 0 {
		return 0
	}
	return float64(s.FLOP) / s.Time.Seconds() / 1e9
}

// Report says where a program's time and memory go.
type Report struct {
	Device    string
	Precision Precision
	Runs      int
	Time      time.Duration // of one run, on average
	Steps     []StepReport  // in the order of their running
	Memory    MemoryReport
}

// Report returns the averages over the runs so far. Times are those of the calls: on an asynchronous device, only their
// sum means something, except with Options.Profile.
func (p *Program) Report() Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := Report{Device: p.device.Name(), Precision: p.options.Precision, Runs: p.runs, Memory: p.memory}
	for _, c := range p.calls {
		t := c.stats.time / time.Duration(max(p.runs, 1))
		r.Time += t
		r.Steps = append(r.Steps, StepReport{
			Place: c.place, Op: op.Name(c.spec), Algorithm: c.kernel.Algorithm(), Nodes: 1, Time: t, FLOP: c.stats.flops,
			Bytes: c.stats.bytes,
		})
	}
	return r
}

// ResetTimes forgets the runs so far: after a first run, which touches memory for the first time, say.
func (p *Program) ResetTimes() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs = 0
	for _, c := range p.calls {
		c.stats.time = 0
	}
}

// byOp sums the steps up by operation and algorithm, the slowest first.
func (r Report) byOp() []StepReport {
	sums := map[[2]string]*StepReport{}
	var order []*StepReport
	for _, s := range r.Steps {
		k := [2]string{s.Op, s.Algorithm}
		sum := sums[k]
		if sum == nil {
			sum = &StepReport{Op: s.Op, Algorithm: s.Algorithm}
			sums[k] = sum
			order = append(order, sum)
		}
		sum.Nodes += s.Nodes
		sum.Time += s.Time
		sum.FLOP += s.FLOP
		sum.Bytes += s.Bytes
	}
	out := make([]StepReport, len(order))
	for i, s := range order {
		out[i] = *s
	}
	slices.SortStableFunc(out, func(a, b StepReport) int { return cmp.Compare(b.Time, a.Time) })
	return out
}

// slowest is the number of single nodes that String lists.
const slowest = 10

// String is a table for a terminal: a line an operation, then the slowest nodes, then the memory.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s, %d runs of %v\n\n", r.Precision, r.Device, r.Runs, r.Time.Round(time.Microsecond))
	table(&b, r.byOp(), r.Time)
	steps := slices.Clone(r.Steps)
	slices.SortStableFunc(steps, func(a, b StepReport) int { return cmp.Compare(b.Time, a.Time) })
	b.WriteString("\nslowest nodes\n")
	table(&b, steps[:min(slowest, len(steps))], r.Time)
	m := r.Memory
	fmt.Fprintf(&b, "\narena %s (lower bound %s, %.3f×), packed weights %s, copied parameters %s\n",
		formatBytes(m.Arena), formatBytes(m.LowerBound), float64(m.Arena)/float64(max(m.LowerBound, 1)),
		formatBytes(m.Packed), formatBytes(m.Copies))
	return b.String()
}

func table(b *strings.Builder, steps []StepReport, total time.Duration) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "time\tshare\tGFLOP\tGFLOP/s\tMB\tGB/s\tnodes\top\talgorithm\t  place")
	for _, s := range steps {
		seconds := max(s.Time.Seconds(), 1e-12)
		fmt.Fprintf(w, "%v\t%.1f%%\t%.2f\t%.1f\t%.1f\t%.1f\t%d\t%s\t%s\t  %s\n",
			s.Time.Round(time.Microsecond), 100*seconds/max(total.Seconds(), 1e-12), float64(s.FLOP)/1e9, s.gflops(),
			float64(s.Bytes)/1e6, float64(s.Bytes)/seconds/1e9, s.Nodes, s.Op, s.Algorithm, s.Place)
	}
	w.Flush()
}

// formatBytes writes a size with a binary unit.
func formatBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	x, u := float64(n)/unit, 0
	for x >= unit && u < 3 {
		x /= unit
		u++
	}
	return fmt.Sprintf("%.1f %ciB", x, "KMGT"[u])
}
