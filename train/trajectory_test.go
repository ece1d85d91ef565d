package train_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// How far a trajectory may be off.
//
// Training amplifies rounding errors, by how much depends on the data. So the tolerance of a quantity is 4 times the
// largest difference between the reference in float32, the reference in float64 (tolerances-b/train.json), and runs
// whose inputs are off by half a unit in their last place. How far those are off is in train/sensitivity.json, which
// testdata/golden/sensitivity.py measures with the reference; for a set of golden data without that file, runs of this
// program measure it on the set's own data.
//
// A first step at full learning rate moves a parameter by g/(|g| + 1e-8), which is any number between -1 and 1 where g
// is 0 but for rounding. Data with such a parameter do not determine what follows: there the first step alone is
// compared.
const (
	nudges       = 8
	allowance    = 4
	firstStep    = 1e-4 // of its size is the least tolerance of a first step's loss and gradient norm
	rateAccuracy = 1e-12
)

// trajectory is what a run computes: quantities, which are "loss" and "gradient norm" over all steps, "loss/1" and
// "gradient norm/1" of the first, or such as "parameters/12"; in each of them tensors by their names.
type trajectory map[string]map[string][]float32

// TestTrainingEqualsPyTorch runs every variant of the reference: losses, norms, rates of each step, and parameters,
// gradients, moments and averages of some of them.
func TestTrainingEqualsPyTorch(t *testing.T) {
	var reference struct {
		Seed     int64              `json:"seed"`
		Variants map[string]variant `json:"variants"`
	}
	decode(t, "train/train.json", &reference)
	var measured map[string]struct {
		Suggested float64 `json:"suggested_abs"`
	}
	decode(t, "tolerances-b/train.json", &measured)
	data := readReferences(t)
	for name, v := range reference.Variants {
		t.Run(name, func(t *testing.T) {
			f := golden.Open(t, "train/"+name+".safetensors")
			want := v.trajectory(t, f)
			moved := sync.OnceValue(func() map[string]float64 {
				if known := sensitivity(t, reference.Seed, name); known != nil {
					return known
				}
				return measureSensitivity(t, v, data, f)
			})
			networktest.EachDevice(t, func(t *testing.T, d device.Device) {
				got := record(t, d, v, data, f)
				determined := allowance*moved()["parameters/1"] <= v.Steps[0].LRUsed
				if !determined {
					t.Log("the data determine the first step alone")
				}
				for quantity, tensors := range want {
					if !determined && !strings.HasSuffix(quantity, "/1") {
						continue
					}
					atol := allowance * moved()[quantity]
					if m, ok := measured[name+" "+quantity]; ok {
						atol = max(atol, m.Suggested)
					} else if w := tensors[""]; w != nil {
						atol = max(atol, firstStep*float64(slices.Min(w)))
					} else {
						t.Fatalf("no tolerance for %s %s", name, quantity)
					}
					atol = golden.Allowed(t, atol)
					off := 0.0
					for tensor, w := range tensors {
						o, at := furthest(got[quantity][tensor], w)
						if off = max(off, o); !(o <= atol) {
							t.Errorf("%s/%s: element %d of %d is %g, want %g, off by %.2g where %.2g is allowed",
								quantity, tensor, at, len(w), got[quantity][tensor][at], w[at], o, atol)
						}
					}
					t.Logf("%s: off by %.2g where %.2g is allowed", quantity, off, atol)
				}
			})
		})
	}
}

// furthest is the largest difference of two tensors of the same size, and where it is; NaN if there is one.
func furthest(a, b []float32) (off float64, at int) {
	if len(a) != len(b) {
		return math.Inf(1), 0
	}
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(d) {
			return d, i
		}
		if d > off {
			off, at = d, i
		}
	}
	return off, at
}

// snapshots are the parts of a trainer's state that files of the reference may have.
var snapshots = map[string]train.Slot{
	"gradient": train.Gradients, "parameters": train.Parameters,
	"exp_avg": train.ExpAvg, "exp_avg_sq": train.ExpAvgSq, "ema": train.Averages,
}

// trajectory is what the reference computed.
func (v variant) trajectory(t *testing.T, f *golden.File) trajectory {
	all := trajectory{"loss": {}, "gradient norm": {}}
	for _, row := range v.Steps {
		for _, l := range row.Losses {
			all["loss"][""] = append(all["loss"][""], float32(l))
		}
		all["gradient norm"][""] = append(all["gradient norm"][""], float32(row.GradientNorm))
	}
	all.addFirst(len(v.Steps[0].Losses))
	for _, name := range f.Names() {
		parts := strings.SplitN(name, "/", 3)
		quantity := parts[0] + "/" + parts[1]
		if all[quantity] == nil {
			all[quantity] = map[string][]float32{}
		}
		all[quantity][parts[2]] = f.Float32(t, name).Data
	}
	return all
}

// record trains as the reference did, for what its file has.
func record(t *testing.T, d device.Device, v variant, data references, f *golden.File) trajectory {
	t.Helper()
	c := v.config()
	trainer := newTrainer(t, d, c)
	all := trajectory{"loss": {}, "gradient norm": {}}
	snapshot := func(name string, step int) {
		quantity := fmt.Sprintf("%s/%d", name, step)
		if !slices.ContainsFunc(f.Names(), func(n string) bool { return strings.HasPrefix(n, quantity+"/") }) {
			return
		}
		all[quantity] = map[string][]float32{}
		for parameter, x := range saved(t, trainer, snapshots[name]) {
			if !f.Has(quantity + "/" + parameter) {
				continue
			}
			if want := f.Shape(t, quantity+"/"+parameter); !slices.Equal(x.Shape, want) {
				t.Fatalf("%s/%s: shape %v, want %v", quantity, parameter, x.Shape, want)
			}
			all[quantity][parameter] = x.Data
		}
	}
	micro := 0
	for _, row := range v.Steps {
		for range row.Losses {
			loss, err := trainer.Accumulate(t.Context(), data.example(micro), data.draws(micro))
			if err != nil {
				t.Fatal(err)
			}
			all["loss"][""] = append(all["loss"][""], float32(loss))
			micro++
		}
		snapshot("gradient", row.Step)
		u, err := trainer.Update(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all["gradient norm"][""] = append(all["gradient norm"][""], float32(u.GradientNorm))
		for name := range snapshots {
			if name != "gradient" {
				snapshot(name, row.Step)
			}
		}
		if u.Step != row.Step {
			t.Errorf("step %d, want %d", u.Step, row.Step)
		}
		for name, x := range map[string][2]float64{
			"learning rate":       {u.LearningRate, row.LRUsed},
			"learning rate after": {c.LearningRate.At(u.Step, c.MaxSteps), row.LRAfter},
			"EMA decay":           {u.EMADecay, row.EMADecay},
		} {
			if math.Abs(x[0]-x[1]) > rateAccuracy {
				t.Errorf("step %d: %s %.15g, want %.15g", u.Step, name, x[0], x[1])
			}
		}
	}
	all.addFirst(len(v.Steps[0].Losses))
	return all
}

// addFirst adds the quantities of the first step, of so many micro-steps.
func (a trajectory) addFirst(micro int) {
	a["loss/1"] = map[string][]float32{"": a["loss"][""][:micro]}
	a["gradient norm/1"] = map[string][]float32{"": a["gradient norm"][""][:1]}
}

// sensitivity is how far each quantity of the reference moved; nil if the golden data don't say.
func sensitivity(t *testing.T, seed int64, variant string) map[string]float64 {
	t.Helper()
	var file struct {
		Seed  int64                         `json:"seed"`
		Moved map[string]map[string]float64 `json:"moved"`
	}
	if _, ok := golden.Find(t, "train/sensitivity.json"); !ok {
		return nil
	}
	decode(t, "train/sensitivity.json", &file)
	if file.Seed != seed { // of another set
		return nil
	}
	return file.Moved[variant]
}

// measureSensitivity is the same of this program, on the device that rounds as the reference does: a fast device's
// algorithms must not widen what it is allowed.
func measureSensitivity(t *testing.T, v variant, data references, f *golden.File) map[string]float64 {
	d := networktest.Open(t, "ref")
	still, moved := record(t, d, v, data, f), map[string]float64{}
	for i := range nudges {
		for quantity, tensors := range record(t, d, v, data.nudged(uint64(i)), f) {
			for name, x := range tensors {
				off, _ := furthest(x, still[quantity][name])
				moved[quantity] = max(moved[quantity], off)
			}
		}
	}
	return moved
}

// nudged are the same inputs with every other number off by a unit in its last place, up or down: by half a unit on
// average.
func (r references) nudged(seed uint64) references {
	rng := rand.New(rand.NewPCG(seed, 1))
	nudge := func(x []float32) []float32 {
		x = slices.Clone(x)
		for i, v := range x {
			if r := rng.IntN(4); r < 2 {
				x[i] = math.Float32frombits(math.Float32bits(v) + uint32(2*r-1))
			}
		}
		return x
	}
	return references{
		func(i int) train.Example {
			e := r.example(i)
			e.Latents, e.Condition, e.Context = nudge(e.Latents), nudge(e.Condition), nudge(e.Context)
			return e
		},
		func(i int) train.Draws {
			d := r.draws(i)
			d.Noise, d.Offset, d.Perturbation = nudge(d.Noise), nudge(d.Offset), nudge(d.Perturbation)
			return d
		},
	}
}
