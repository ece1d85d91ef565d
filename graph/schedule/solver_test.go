package schedule_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/golden"
)

// runSolver takes latents through the steps of a run and returns the latents after each. eta has a value for each
// step or is nil; noise(i) is for step i.
func runSolver(t testing.TB, sampler schedule.Sampler, s *schedule.Schedule, steps []schedule.Step,
	network func(x []float32, timestep int) []float32, x []float32, eta []float64,
	noise func(i int) []float32,
) [][]float32 {
	t.Helper()
	var after [][]float32
	var history schedule.History
	x = slices.Clone(x)
	for i, step := range steps {
		step.History = &history
		if eta != nil && eta[i] > 0 {
			step.Eta, step.Noise = eta[i], noise(i)
		}
		if err := sampler(s, x, network(x, step.Timestep), step); err != nil {
			t.Fatal(err)
		}
		after = append(after, slices.Clone(x))
	}
	return after
}

// diffusers' own runs: of DPMSolverMultistepScheduler, of DPMSolverMultistepInverseScheduler with its time steps and
// with the translation's, reversed, of SASolverScheduler for several τ, of LCMScheduler with another's time steps, and
// of DDIMScheduler with one step.
func TestSolvers(t *testing.T) {
	f := golden.Open(t, "solvers.safetensors")
	var cases []struct {
		Name, Sampler, Quantity string
		Config                  json.RawMessage
		Timesteps               []int
		Eta                     []float64
		Last                    int // where an inversion ends
	}
	f.MetadataJSON(t, "cases", &cases)
	var tolerances map[string]comparison
	f.MetadataJSON(t, "tolerances", &tolerances)
	if len(cases) == 0 {
		t.Fatal("no runs")
	}
	x, noise := readLatents(t, f, "sample").steps[0], readLatents(t, f, "noise").steps
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var config schedule.Config
			if err := json.Unmarshal(c.Config, &config); err != nil {
				t.Fatal(err)
			}
			s, n := newSchedule(t, config), len(c.Timesteps)
			if config.RescaleBetasZeroSNR { // 2⁻²⁴ at the end, as in diffusers
				s.AlphasCumprod = f.Float32(t, "alphas_cumprod/zero_snr").Data
				if !config.SetAlphaToOne {
					s.InitialAlphaCumprod = s.AlphasCumprod[0]
				}
			}
			var sampler schedule.Sampler
			var steps []schedule.Step
			var err error
			switch c.Sampler {
			case "ddim":
				sampler, steps, err = schedule.SolverDDIM.Translation(s, n)
			case "consistency":
				sampler, steps, err = schedule.SolverConsistency.Translation(s, n)
			case "sa":
				sampler, steps, err = schedule.SolverSA.Translation(s, n)
			case "dpm":
				sampler, steps, err = schedule.SolverDPM.Translation(s, n)
			default:
				sampler = schedule.DPMSolverInverse
				for i, next := range append(slices.Clone(c.Timesteps[1:]), c.Last) {
					steps = append(steps, schedule.Step{Timestep: c.Timesteps[i], Next: next, Index: i, Steps: n})
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			var timesteps []int
			for _, step := range steps {
				timesteps = append(timesteps, step.Timestep)
			}
			if diff := cmp.Diff(c.Timesteps, timesteps); diff != "" {
				t.Fatalf("time steps (-want +got):\n%s", diff)
			}
			wave := func(x []float32, timestep int) []float32 { return standIn(t, "wave", x, timestep) }
			got := runSolver(t, sampler, s, steps, wave, x, c.Eta, func(i int) []float32 { return noise[i] })
			compareSteps(t, got, readLatents(t, f, c.Name).steps, tolerances[c.Quantity])
		})
	}
}

// set_timesteps of DPMSolverMultistepScheduler and SASolverScheduler, which are equal.
func TestSolverTimesteps(t *testing.T) {
	f := golden.Open(t, "solvers.safetensors")
	compared := 0
	for _, name := range f.Names() {
		rest, ok := strings.CutPrefix(name, "timesteps/")
		if !ok {
			continue
		}
		compared++
		parts := strings.Split(rest, "/")
		offset := strings.TrimPrefix(parts[1], "offset")
		s := base(t, json.RawMessage(`{"timestep_spacing": "`+parts[0]+`", "steps_offset": `+offset+`}`))
		var n int
		if err := json.Unmarshal([]byte(strings.TrimPrefix(parts[2], "n")), &n); err != nil {
			t.Fatal(err)
		}
		want := f.Int64(t, name).Data
		want = want[:n] // without the surplus −1 of trailing spacing
		_, steps, err := schedule.SolverSA.Translation(s, n)
		if err != nil {
			t.Fatal(err)
		}
		for i, step := range steps {
			if int64(step.Timestep) != want[i] {
				t.Errorf("%s: step %d is at %d, want %d", name, i, step.Timestep, want[i])
			}
		}
	}
	if compared == 0 {
		t.Error("no lists of time steps")
	}
}

// An inversion's time steps rise from 0 to where the translation begins, without a pause.
func TestInversionTimesteps(t *testing.T) {
	for _, p := range []schedule.PredictionType{schedule.VPrediction, schedule.Epsilon} {
		c := zeroTerminal(t)
		if p == schedule.Epsilon {
			c.PredictionType, c.TimestepSpacing, c.RescaleBetasZeroSNR = p, schedule.Leading, false
		}
		s := newSchedule(t, c)
		for n := 1; n < 900; n++ {
			_, down, err := schedule.SolverDPM.Translation(s, n)
			if err != nil {
				t.Fatal(err)
			}
			_, up, err := schedule.SolverDPM.Inversion(s, n)
			if n > down[0].Timestep {
				if err == nil {
					t.Errorf("%s, %d steps to time step %d: no error", p, n, down[0].Timestep)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			at := 0
			for _, step := range up {
				if step.Timestep != at || step.Next <= at {
					t.Fatalf("%s, %d steps: from %d to %d after %d", p, n, step.Timestep, step.Next, at)
				}
				at = step.Next
			}
			if len(up) != n || at != down[0].Timestep {
				t.Errorf("%s, %d steps: %d, to %d; the translation begins at %d", p, n, len(up), at, down[0].Timestep)
			}
		}
	}
	_, steps, err := schedule.SolverDPM.Inversion(newSchedule(t, zeroTerminal(t)), 5)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, step := range steps {
		got = append(got, step.Timestep)
	}
	if want := []int{0, 40, 160, 360, 639}; !slices.Equal(got, want) {
		t.Errorf("time steps %v, want %v", got, want)
	}
}

// smooth is a schedule whose levels are cos φ, sin φ with φ rising evenly from 0.3 to last: its steps are short at both
// ends, so that few of them show an order of convergence.
func smooth(t *testing.T, p schedule.PredictionType, last float64) *schedule.Schedule {
	t.Helper()
	c := schedule.DefaultConfig()
	c.PredictionType, c.TimestepSpacing, c.ClipSample, c.SetAlphaToOne = p, schedule.Trailing, false, false
	before := 1.0
	for i := range c.NumTrainTimesteps {
		signal := math.Cos(0.3 + (last-0.3)*float64(i)/float64(c.NumTrainTimesteps-1))
		c.TrainedBetas = append(c.TrainedBetas, 1-signal*signal/before)
		before = signal * signal
	}
	return newSchedule(t, c)
}

// gaussian is a distribution of samples x₀. The best prediction and the solution of the probability flow are known:
// (x − √ᾱ·mean) / √(ᾱ·deviation² + 1−ᾱ) stays what it is.
type gaussian struct{ mean, deviation float64 }

func (g gaussian) network(s *schedule.Schedule) func(x []float32, timestep int) []float32 {
	return func(x []float32, timestep int) []float32 {
		a := float64(s.AlphasCumprod[timestep])
		signal, sigma, variance := math.Sqrt(a), math.Sqrt(1-a), g.deviation*g.deviation
		output := make([]float32, len(x))
		for i, v := range x {
			original := g.mean + signal*variance/(a*variance+1-a)*(float64(v)-signal*g.mean)
			noise := (float64(v) - signal*original) / sigma
			output[i] = float32(noise)
			if s.Config.PredictionType == schedule.VPrediction {
				output[i] = float32(signal*noise - sigma*original)
			}
		}
		return output
	}
}

// at is the mean and the deviation of samples at a time step.
func (g gaussian) at(s *schedule.Schedule, timestep int) (mean, deviation float64) {
	a := float64(s.AlphasCumprod[timestep])
	return math.Sqrt(a) * g.mean, math.Sqrt(a*g.deviation*g.deviation + 1 - a)
}

type plan func(s *schedule.Schedule, n int) (schedule.Sampler, []schedule.Step, error)

// reversed is DPMSolverInverse on the translation's time steps.
func reversed(s *schedule.Schedule, n int) (schedule.Sampler, []schedule.Step, error) {
	_, down, err := schedule.SolverDPM.Translation(s, n)
	if err != nil {
		return nil, nil, err
	}
	steps, at := make([]schedule.Step, n), 0
	for i := range steps {
		steps[i] = schedule.Step{Timestep: at, Next: down[n-1-i].Timestep, Index: i, Steps: n}
		at = steps[i].Next
	}
	return schedule.DPMSolverInverse, steps, nil
}

// miss is the error of a run of n steps without noise: how far it ends from the solution of the probability flow.
func (g gaussian) miss(t *testing.T, s *schedule.Schedule, plan plan, n int) float64 {
	t.Helper()
	sampler, steps, err := plan(s, n)
	if err != nil {
		t.Fatal(err)
	}
	from, to := len(s.Betas)-1, 0
	if steps[0].Timestep < from {
		from, to = to, from
	}
	mean, deviation := g.at(s, from)
	got := runSolver(t, sampler, s, steps, g.network(s), []float32{float32(mean + 1.3*deviation)}, nil, nil)
	mean, deviation = g.at(s, to)
	return math.Abs(float64(got[n-1][0]) - (mean + 1.3*deviation))
}

// Half the step length is half the error for DDIM and a quarter of it for the others: DPM-Solver++(2M) both ways and
// SA-Solver without noise.
func TestConvergence(t *testing.T) {
	g := gaussian{mean: 0.7, deviation: 1.5}
	s := smooth(t, schedule.VPrediction, 1.35)
	for _, test := range []struct {
		name  string
		plan  plan
		order float64
	}{
		{"DDIM", schedule.SolverDDIM.Translation, 1},
		{"DPM-Solver", schedule.SolverDPM.Translation, 2},
		{"SA-Solver", schedule.SolverSA.Translation, 2},
		{"DDIM inversion", schedule.SolverDDIM.Inversion, 1},
		{"DPM-Solver inversion", reversed, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			last := math.NaN()
			for _, n := range []int{25, 50, 100} { // divisors of 1000, for the last of DDIM's steps is longer otherwise
				e := g.miss(t, s, test.plan, n)
				order := math.Log2(last / e)
				t.Logf("%d steps: error %.2e, order %.2f", n, e, order)
				if math.Abs(order-test.order) > 0.15 {
					t.Errorf("%d steps: order %.2f, want %v", n, order, test.order)
				}
				last = e
			}
		})
	}
}

// In a few steps of HistDiST's schedule, from and to pure noise, the solvers' errors are at most half of DDIM's, and
// the translations' smaller than with diffusers' 2⁻²⁴ as the last ᾱ.
func TestZeroTerminalSNR(t *testing.T) {
	s, tiny := newSchedule(t, zeroTerminal(t)), newSchedule(t, zeroTerminal(t))
	tiny.AlphasCumprod[len(tiny.AlphasCumprod)-1] = 1.0 / (1 << 24)
	for _, n := range []int{5, 10} {
		g := gaussian{mean: 0.7, deviation: 2}
		down, up := g.miss(t, s, schedule.SolverDDIM.Translation, n), g.miss(t, s, schedule.SolverDDIM.Inversion, n)
		for _, v := range []schedule.Solver{schedule.SolverDPM, schedule.SolverSA} {
			e, other := g.miss(t, s, v.Translation, n), g.miss(t, tiny, v.Translation, n)
			t.Logf("%s, %d steps: error %.3f, with 2⁻²⁴ %.3f, DDIM %.3f", v, n, e, other, down)
			if e > other || e > down/2 {
				t.Errorf("%s, %d steps: error %.3f, with 2⁻²⁴ %.3f, DDIM %.3f", v, n, e, other, down)
			}
		}
		if e := g.miss(t, s, schedule.SolverDPM.Inversion, n); e > up/2 {
			t.Errorf("inversion, %d steps: error %.3f, DDIM %.3f", n, e, up)
		}
	}
	// With the inversion's own time steps, the error falls with the square of their number from few steps on.
	g, last := gaussian{mean: 0.7, deviation: 0.5}, math.NaN()
	for _, n := range []int{5, 10, 20} {
		e, even := g.miss(t, s, schedule.SolverDPM.Inversion, n), g.miss(t, s, reversed, n)
		order := math.Log2(last / e)
		t.Logf("inversion, %d steps: error %.4f, order %.2f; on even time steps %.4f", n, e, order, even)
		if order < 1.75 || e > even/3 {
			t.Errorf("inversion, %d steps: error %.4f, order %.2f; on even time steps %.4f", n, e, order, even)
		}
		last = e
	}
}

// Where x₀ is linear in ρ = √(ᾱ/(1−ᾱ)), the order-2 steps from and to pure noise are exact: x/√(1−ᾱ) grows by ∫x₀ dρ.
func TestLinearNextToPureNoise(t *testing.T) {
	c := zeroTerminal(t)
	c.PredictionType = schedule.Sample
	s := newSchedule(t, c)
	const a, b, n, start = 0.3, 2.0, 10, 0.8
	rho := func(timestep int) (sigma, rho float64) {
		alpha := float64(s.AlphasCumprod[timestep])
		return math.Sqrt(1 - alpha), math.Sqrt(alpha / (1 - alpha))
	}
	line := func(x []float32, timestep int) []float32 {
		_, r := rho(timestep)
		return []float32{float32(a + b*r)}
	}
	sampler, steps, err := schedule.SolverSA.Translation(s, n)
	if err != nil {
		t.Fatal(err)
	}
	got := runSolver(t, sampler, s, steps, line, []float32{start}, nil, nil)
	sigma, r := rho(steps[1].Next)
	if want := sigma * (start + a*r + b*r*r/2); math.Abs(float64(got[1][0])-want) > 1e-6 {
		t.Errorf("SA-Solver from pure noise: %v after two steps, want %v", got[1][0], want)
	}
	// DPM-Solver has no corrector: its first step takes x₀ as constant.
	got = runSolver(t, schedule.DPMSolver, s, steps, line, []float32{start}, nil, nil)
	_, first := rho(steps[0].Next)
	if want := sigma * (start + a*r + b*(r*r-first*first)/2); math.Abs(float64(got[1][0])-want) > 1e-6 {
		t.Errorf("DPM-Solver from pure noise: %v after two steps, want %v", got[1][0], want)
	}
	if sampler, steps, err = schedule.SolverDPM.Inversion(s, n); err != nil {
		t.Fatal(err)
	}
	got = runSolver(t, sampler, s, steps, line, []float32{start}, nil, nil)
	sigma, r = rho(steps[n-1].Timestep)
	if want := float64(got[n-2][0])/sigma - a*r - b*r*r/2; math.Abs(float64(got[n-1][0])/want-1) > 1e-6 {
		t.Errorf("DPM-Solver to pure noise: %v, want %v", got[n-1][0], want)
	}
}

// With noise, samples of a Gaussian end with its mean and its variance.
func TestSASolverMarginal(t *testing.T) {
	const samples, n = 1 << 15, 100
	s, g := smooth(t, schedule.VPrediction, math.Pi/2), gaussian{mean: 0.7, deviation: 0.5}
	for _, eta := range []float64{0.5, 1} {
		random := rand.New(rand.NewPCG(1, 2))
		normal := func(int) []float32 {
			x := make([]float32, samples)
			for i := range x {
				x[i] = float32(random.NormFloat64())
			}
			return x
		}
		sampler, steps, err := schedule.SolverSA.Translation(s, n)
		if err != nil {
			t.Fatal(err)
		}
		x := runSolver(t, sampler, s, steps, g.network(s), normal(0), slices.Repeat([]float64{eta}, n), normal)[n-1]
		mean, deviation := stat.MeanStdDev(widen(x), nil)
		wantMean, wantDeviation := g.at(s, 0)
		// Four standard errors, of the mean and of the deviation.
		se := wantDeviation / math.Sqrt(samples)
		if math.Abs(mean-wantMean) > 4*se || math.Abs(deviation-wantDeviation) > 4*se/math.Sqrt2 {
			t.Errorf("η %v: mean %.4f, want %.4f; deviation %.4f, want %.4f", eta, mean, wantMean, deviation, wantDeviation)
		}
	}
}

// At order 1, as in the first step of each run, the solvers are DDIM: SASolver for every η, and clipped samples with
// the noise derived from them.
func TestFirstStepIsDDIMProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := zeroTerminal(t)
		c.SetAlphaToOne = rapid.Bool().Draw(rt, "set_alpha_to_one")
		c.RescaleBetasZeroSNR = rapid.Bool().Draw(rt, "zero SNR")
		kinds := []schedule.PredictionType{schedule.VPrediction, schedule.Sample}
		if !c.RescaleBetasZeroSNR {
			kinds = append(kinds, schedule.Epsilon)
		}
		c.PredictionType = rapid.SampledFrom(kinds).Draw(rt, "prediction")
		s := newSchedule(t, c)
		n := rapid.SampledFrom([]int{1, 2, 4, 5, 8, 10, 20, 25, 100, 500, 1000}).Draw(rt, "steps")
		// At η 1 from pure noise, DDIM's 1−ᾱ−σ² is float32's rounding error.
		eta := rapid.Float64Range(0, 0.99).Draw(rt, "eta")
		number := rapid.Float32Range(-3, 3)
		x, output := number.Draw(rt, "x"), []float32{number.Draw(rt, "output")}
		noise := []float32{number.Draw(rt, "noise")}
		first := func(v schedule.Solver, eta float64) float64 {
			sampler, steps, err := v.Translation(s, n)
			if err != nil {
				rt.Fatal(err)
			}
			step, got := steps[0], []float32{x}
			step.Eta, step.Noise, step.History = eta, noise, new(schedule.History)
			if err := sampler(s, got, output, step); err != nil {
				rt.Fatal(err)
			}
			return float64(got[0])
		}
		for v, eta := range map[schedule.Solver]float64{schedule.SolverDPM: 0, schedule.SolverSA: eta} {
			want := first(schedule.SolverDDIM, eta)
			// DDIM's x₀ and ε are rounded to float32, and without zero SNR epsilon's are up to 3/√ᾱ = 45.
			if got := first(v, eta); math.Abs(got-want) > 2e-5 {
				rt.Errorf("%s: %v, DDIM %v", v, got, want)
			}
		}
	})
}

// A run that begins with the history of another, whole or broken off, is the same run. No step takes another's history.
func TestHistory(t *testing.T) {
	s, g := newSchedule(t, zeroTerminal(t)), gaussian{deviation: 1}
	network := g.network(s)
	down, steps, err := schedule.SolverSA.Translation(s, 5)
	if err != nil {
		t.Fatal(err)
	}
	up, inverse, err := schedule.SolverDPM.Inversion(s, 5)
	if err != nil {
		t.Fatal(err)
	}
	var history schedule.History
	walk := func(sampler schedule.Sampler, steps []schedule.Step, x ...float32) []float32 {
		for _, step := range steps {
			step.History = &history
			if err := sampler(s, x, network(x, step.Timestep), step); err != nil {
				t.Fatal(err)
			}
		}
		return x
	}
	want := walk(down, steps, 0.5, -1)
	walk(up, inverse, 3)
	walk(down, steps[:3], 1, 2, 3)
	if got := walk(down, steps, 0.5, -1); !slices.Equal(got, want) {
		t.Errorf("after other runs %v, want %v", got, want)
	}

	for name, change := range map[string]func(*schedule.Step){
		"an inversion's history": func(*schedule.Step) { walk(up, inverse[:1], 3, 4) },
		"no history":             func(step *schedule.Step) { step.History = nil },
		"an empty history":       func(step *schedule.Step) { step.History = new(schedule.History) },
		"a step left out":        func(step *schedule.Step) { step.Index++ },
		"another time step":      func(step *schedule.Step) { step.Timestep-- },
		"another size":           func(*schedule.Step) { walk(down, steps[:1], 3) },
		"beyond the end":         func(step *schedule.Step) { walk(down, steps, 3, 4); step.Index = step.Steps },
		"towards noise":          func(step *schedule.Step) { step.Next = 999 },
		"standardisation":        func(step *schedule.Step) { step.Standardise = [4]int{1, 2, 1, 1} },
	} {
		x, step := []float32{3, 4}, steps[1]
		step.History = &history
		walk(down, steps[:1], 3, 4)
		change(&step)
		if err := down(s, x, []float32{0, 0}, step); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !slices.Equal(x, []float32{3, 4}) {
			t.Errorf("%s: latents have changed", name)
		}
	}
	step := steps[0]
	step.Eta, step.Noise, step.History = 0.5, []float32{1}, &history
	if err := schedule.DPMSolver(s, []float32{1}, []float32{1}, step); err == nil {
		t.Error("DPM-Solver with noise: no error")
	}
}

// Runs of any length are finite, those of one and two steps and those in which time steps coincide among them.
func TestSolverRunLengths(t *testing.T) {
	g := gaussian{mean: 0.7, deviation: 1}
	for _, one := range []bool{false, true} {
		c := zeroTerminal(t)
		c.SetAlphaToOne = one
		s := newSchedule(t, c)
		for name, plan := range map[string]plan{
			"DPM": schedule.SolverDPM.Translation, "SA": schedule.SolverSA.Translation, "inverse": schedule.SolverDPM.Inversion,
		} {
			for _, n := range []int{1, 2, 3, 30, 61, 999, 1000} {
				if n == 1000 && name == "inverse" {
					continue // of 1000 time steps, the first is where it begins
				}
				sampler, steps, err := plan(s, n)
				if err != nil {
					t.Fatal(err)
				}
				eta := make([]float64, n)
				if name == "SA" {
					eta[0], eta[n/2] = 0.2, 1
				}
				noise := func(int) []float32 { return []float32{0.4} }
				for i, x := range runSolver(t, sampler, s, steps, g.network(s), []float32{0.3}, eta, noise) {
					if math.IsNaN(float64(x[0])) || math.Abs(float64(x[0])) > 10 {
						t.Fatalf("%s of %d steps: %v after step %d", name, n, x, i)
					}
				}
			}
			for _, n := range []int{0, -1, 1001} {
				if _, _, err := plan(s, n); err == nil {
					t.Errorf("%s of %d steps: no error", name, n)
				}
			}
		}
	}
}

func TestSolverNames(t *testing.T) {
	s := newSchedule(t, zeroTerminal(t))
	for _, name := range []string{"ddim", "dpm", "sa"} {
		var v schedule.Solver
		if err := v.UnmarshalText([]byte(name)); err != nil || string(v) != name {
			t.Errorf("%s: %v, %v", name, v, err)
		}
		if _, steps, err := v.Translation(s, 10); err != nil || len(steps) != 10 || steps[0].Timestep != 999 {
			t.Errorf("%s: translation %v, %v", name, steps, err)
		}
	}
	for _, name := range []string{"", "DDIM", "euler"} {
		v := schedule.SolverDDIM
		if err := v.UnmarshalText([]byte(name)); err == nil || v != schedule.SolverDDIM {
			t.Errorf("%q: %v, no error", name, v)
		}
		if _, _, err := schedule.Solver(name).Translation(s, 10); err == nil {
			t.Errorf("%q: a translation", name)
		}
	}
	if _, _, err := schedule.SolverSA.Inversion(s, 10); err == nil {
		t.Error("SA-Solver has an inversion")
	}
	_, steps, err := schedule.SolverDDIM.Inversion(s, 10)
	if err != nil || steps[0].Timestep != 99 || steps[9].Timestep != 999 {
		t.Errorf("DDIM's inversion: %v, %v", steps, err)
	}
}

// From pure noise to ᾱ = 1 in one step is the network's x₀ at the last time step, whichever solver takes it.
func TestOneStepIsTheNetworksSample(t *testing.T) {
	s := base(t, json.RawMessage(`{"prediction_type": "v_prediction", "timestep_spacing": "trailing",
		"rescale_betas_zero_snr": true, "set_alpha_to_one": true, "clip_sample": false}`))
	x := []float32{0.3, -1.2, 0.7, 2}
	output := []float32{-0.5, 0.25, 1.5, -0.125}
	want := make([]float32, len(x))
	if err := s.Original(want, x, output, 999); err != nil {
		t.Fatal(err)
	}
	for _, solver := range []schedule.Solver{
		schedule.SolverDDIM, schedule.SolverDPM, schedule.SolverSA, schedule.SolverConsistency,
	} {
		sampler, steps, err := solver.Translation(s, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) != 1 || steps[0].Timestep != 999 {
			t.Errorf("%s: steps %+v, want one at 999", solver, steps)
		}
		network := func([]float32, int) []float32 { return output }
		if got := runSolver(t, sampler, s, steps, network, x, nil, nil)[0]; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", solver, got, want)
		}
	}
}

// Nothing of the latents is left after a step of consistency sampling but the network's x₀: with one that always
// knows it, latents between steps are x₀ with noise of that level, and the last ones x₀.
func TestConsistencyForgets(t *testing.T) {
	s := base(t, json.RawMessage(`{"prediction_type": "sample", "timestep_spacing": "trailing", "clip_sample": false}`))
	sampler, steps, err := schedule.SolverConsistency.Translation(s, 4)
	if err != nil {
		t.Fatal(err)
	}
	original, noise := []float32{0.5, -2}, []float32{1, -0.25}
	eta := make([]float64, 4)
	for i := range eta {
		if eta[i], err = schedule.SolverConsistency.Eta(schedule.EtaZero(), i, 4); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]float64{1, 1, 1, 0}, eta); diff != "" {
		t.Errorf("eta: %s", diff)
	}
	network := func([]float32, int) []float32 { return original }
	got := runSolver(t, sampler, s, steps, network, []float32{9, 9}, eta, func(int) []float32 { return noise })
	for i, step := range steps[:3] {
		want := make([]float32, 2)
		if err := s.AddNoise(want, original, noise, []int{step.Next}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[i], want) {
			t.Errorf("after step %d: %v, want %v", i, got[i], want)
		}
	}
	if !slices.Equal(got[3], original) {
		t.Errorf("at the end: %v, want %v", got[3], original)
	}
	for name, step := range map[string]schedule.Step{
		"no noise":         {Timestep: 999, Next: 749, Steps: 4},
		"standardised":     {Timestep: 999, Next: -1, Steps: 4, Standardise: [4]int{1, 1, 2, 1}},
		"no such timestep": {Timestep: 1000, Next: -1, Steps: 4},
		"no next":          {Timestep: 999, Next: 1000, Steps: 4, Eta: 1, Noise: noise},
	} {
		x := []float32{9, 9}
		if err := sampler(s, x, original, step); err == nil || x[0] != 9 {
			t.Errorf("%s: error %v, latents %v", name, err, x)
		}
	}
}
