package enginebench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

var (
	enabled     = flag.Bool("bench-engine", false, "measure; without it the test is skipped")
	shapes      = flag.String("shapes", "unet,vae_dec,vae_enc", "files of testdata/shapes")
	budget      = flag.Duration("budget", 600*time.Millisecond, "time for a layer and direction, of which the best run counts")
	precision   = flag.String("precision", "float32", "float32 or bfloat16")
	deviceName  = flag.String("device", "auto", "device")
	forwardOnly = flag.Bool("forward-only", false, "leave the backward passes out")
)

// timing is one layer's best time, forward and forward with backward, in seconds.
type timing struct {
	layer
	forward, both           float64
	flops                   int64
	algorithm               string
	torchForward, torchBoth float64
}

func TestBenchEngine(t *testing.T) {
	if !*enabled {
		t.Skip("a measurement: run make bench-engine")
	}
	d, p := open(t)
	defer d.Close()
	peak := gemmPeak(t, d, p)
	fmt.Printf("device %s, %s, GEMM peak %.1f GFLOP/s\n", d.Name(), p, peak)
	for _, name := range strings.Split(*shapes, ",") {
		layers, err := readLayers(filepath.Join("..", "..", "testdata", "shapes", name+".tsv"))
		if err != nil {
			t.Fatal(err)
		}
		torch := torchTimes(t, name)
		var rows []timing
		for _, l := range layers {
			row := measure(t, d, p, l)
			if found, ok := torch[l.String()]; ok {
				row.torchForward, row.torchBoth = found[0], found[1]
			}
			rows = append(rows, row)
		}
		fmt.Printf("\n%s\n%s", name, table(rows, peak))
	}
}

// open returns the device and the precision that the flags name.
func open(t *testing.T) (device.Device, vm.Precision) {
	p, err := vm.ParsePrecision(*precision)
	if err != nil {
		t.Fatal(err)
	}
	d, err := catalog.Open(*deviceName, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d, p
}

// gemmPeak is the best rate of our product of large matrices, the measure that layers are held against.
func gemmPeak(t *testing.T, d device.Device, p vm.Precision) float64 {
	best := 0.0
	for _, shape := range [][]int{{2048, 2048, 2048, 0}, {4096, 1280, 1280, 0}, {1024, 640, 5120, 0}} {
		row := measureForward(t, d, p, layer{"linear", 1, shape})
		best = max(best, float64(row.flops)/row.forward/1e9)
	}
	return best
}

func measure(t *testing.T, d device.Device, p vm.Precision, l layer) timing {
	row := measureForward(t, d, p, l)
	if *forwardOnly {
		return row
	}
	s := op.NewScope(l.kind)
	out, in := l.build(s)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	seed := s.Input("seed", out.Shape()...)
	grads, err := gorgonia.Backpropagate(gorgonia.Nodes{out}, gorgonia.Nodes{seed}, append(in, s.Params()...))
	if err != nil {
		t.Fatal(err)
	}
	row.both, _ = best(t, d, p, s, append(in, seed), append(gorgonia.Nodes{out}, grads...), true)
	return row
}

func measureForward(t *testing.T, d device.Device, p vm.Precision, l layer) timing {
	s := op.NewScope(l.kind)
	out, in := l.build(s)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	row := timing{layer: l}
	var report vm.Report
	row.forward, report = best(t, d, p, s, in, gorgonia.Nodes{out}, false)
	for _, step := range report.Steps {
		row.flops += step.FLOP
		if step.Algorithm != "" {
			row.algorithm = step.Algorithm
		}
	}
	return row
}

// best compiles the outputs and returns the time of the fastest run within the budget, in seconds. In training the weights
// change from run to run, so that nothing about them can be prepared.
func best(t *testing.T, d device.Device, p vm.Precision, s *op.Scope, in, outputs gorgonia.Nodes, training bool) (float64, vm.Report) {
	for i, n := range s.Params() {
		if err := gorgonia.Let(n, noise(n.Shape(), i+100)); err != nil {
			t.Fatal(err)
		}
	}
	o := vm.Options{Device: d, Precision: p}
	if training {
		o.Vary = s.Params()
	}
	program, err := vm.Compile(outputs, o)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	feeds := vm.Feeds{}
	for i, n := range in {
		feeds[n] = noise(n.Shape(), i)
	}
	fastest, total := time.Hour, time.Duration(0)
	for begin, runs := time.Now(), 0; runs < 3 || (time.Since(begin) < *budget && runs < 200); runs++ {
		if _, err := program.Run(t.Context(), feeds); err != nil {
			t.Fatal(err)
		}
		// The steps' own times leave out the conversion of results for the caller, which a whole network has once.
		r := program.Report()
		if now := r.Time*time.Duration(r.Runs) - total; now < fastest {
			fastest = now
		}
		total = r.Time * time.Duration(r.Runs)
	}
	return fastest.Seconds(), program.Report()
}

func noise(shape tensor.Shape, seed int) *tensor.Dense {
	x := make([]float32, op.Size(shape))
	z := uint64(seed)*0x9E3779B97F4A7C15 + 1
	for i := range x {
		z = z*6364136223846793005 + 1442695040888963407
		x[i] = float32(z>>40)/(1<<23) - 1
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
}

// torchTimes runs scripts/bench_torch.py on a shapes file, if there is a Python for it: layer → forward, forward and backward.
func torchTimes(t *testing.T, name string) map[string][2]float64 {
	python := os.Getenv("HISTDIST_TORCH_PYTHON")
	if python == "" {
		return nil
	}
	args := []string{"../../scripts/bench_torch.py", "--shapes", "../../testdata/shapes/" + name + ".tsv", "--budget", fmt.Sprint(budget.Seconds())}
	if *forwardOnly {
		args = append(args, "--forward-only")
	}
	cmd := exec.Command(python, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", python, err)
	}
	times := map[string][2]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var r struct {
			Kind    string
			Shape   []int
			Forward float64 `json:"forward_s"`
			Both    float64 `json:"forward_backward_s"`
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err == nil && r.Kind != "machine" {
			times[layer{kind: r.Kind, shape: r.Shape}.String()] = [2]float64{r.Forward, r.Both}
		}
	}
	return times
}

// table lists the layers by their share of the time, then the sums weighted by the layers' counts.
func table(rows []timing, peak float64) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "layer\tcount\tforward ms\tGFLOP/s\tof peak\tfwd+bwd ms\ttorch fwd\tratio\ttorch fwd+bwd\tratio\talgorithm\t")
	sums := map[string]*timing{}
	var kinds []string
	for _, r := range rows {
		line(w, r.String(), r.count, r, peak)
		for _, kind := range []string{r.kind, "all"} {
			s := sums[kind]
			if s == nil {
				s = &timing{}
				sums[kind] = s
				kinds = append(kinds, kind)
			}
			n := float64(r.count)
			s.count += r.count
			s.forward += n * r.forward
			s.both += n * r.both
			s.torchForward += n * r.torchForward
			s.torchBoth += n * r.torchBoth
			s.flops += int64(r.count) * r.flops
		}
	}
	for _, kind := range kinds {
		line(w, "sum of "+kind, sums[kind].count, *sums[kind], peak)
	}
	w.Flush()
	return b.String()
}

func line(w *tabwriter.Writer, name string, count int, r timing, peak float64) {
	rate := float64(r.flops) / r.forward / 1e9
	fmt.Fprintf(w, "%s\t%d\t%.3f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name, count, r.forward*1e3,
		number("%.1f", rate), number("%.0f%%", 100*rate/peak), number("%.3f", r.both*1e3),
		number("%.3f", r.torchForward*1e3), number("%.2f×", r.torchForward/r.forward),
		number("%.3f", r.torchBoth*1e3), number("%.2f×", r.torchBoth/r.both), r.algorithm)
}

// number is empty for what was not measured.
func number(format string, x float64) string {
	if !(x > 0) {
		return ""
	}
	return fmt.Sprintf(format, x)
}
