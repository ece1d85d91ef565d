package schedule_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/golden"
)

// run takes latents through the time steps with a stand-in for the network and returns the latents after each step, and
// what Original said before it. eta has a value for each step or is nil; noise is that of the step.
func run(t *testing.T, sampler schedule.Sampler, s *schedule.Schedule, timesteps []int, model string, x []float32,
	eta []float64, noise [][]float32, step schedule.Step,
) (after, original [][]float32) {
	t.Helper()
	x = slices.Clone(x)
	for i, timestep := range timesteps {
		step.Timestep = timestep
		step.Eta, step.Noise = 0, nil
		if eta != nil && eta[i] > 0 {
			step.Eta, step.Noise = eta[i], noise[i]
		}
		output := standIn(t, model, x, timestep)
		guess := make([]float32, len(x))
		if err := s.Original(guess, x, output, timestep); err != nil {
			t.Fatal(err)
		}
		if err := sampler(s, x, output, step); err != nil {
			t.Fatal(err)
		}
		after, original = append(after, slices.Clone(x)), append(original, guess)
	}
	return after, original
}

// etaOf returns eta for each of n steps.
func etaOf(t *testing.T, eta schedule.Eta, n int) []float64 {
	t.Helper()
	values := make([]float64, n)
	for i := range values {
		var err error
		if values[i], err = eta.At(i, n); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

func timestepsOf(t *testing.T, f func(n int) ([]int, error), n int) []int {
	t.Helper()
	steps, err := f(n)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

func compareSteps(t *testing.T, got, want [][]float32, tolerance comparison) {
	t.Helper()
	within(t, slices.Concat(got...), slices.Concat(want...), tolerance)
}

// Whole runs of DDIMScheduler.step and DDIMInverseScheduler.step over all prediction types, clipping, eta and noise
// levels.
func TestTrajectories(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	tolerance := tolerances(t)
	x, noise := readLatents(t, f, "sample").steps[0], readLatents(t, f, "noise").steps
	for _, c := range readManifest(t).Trajectories {
		t.Run(c.Name, func(t *testing.T) {
			var s *schedule.Schedule
			if change := c.Config; strings.Contains(c.Name, "/clip0.4") { // the one key that the list leaves out
				s = base(t, append(change[:len(change)-1:len(change)-1], `, "clip_sample_range": 0.4}`...))
			} else {
				s = base(t, change)
			}
			s = shared(t, s)
			sampler, timesteps, quantity := schedule.DDIM, s.Timesteps, "ddim trajectory "
			if c.Scheduler == "DDIMInverseScheduler" {
				sampler, timesteps, quantity = schedule.DDIMInverse, s.InverseTimesteps, "inverse trajectory "
			}
			quantity += string(s.Config.PredictionType)
			if s.Config.RescaleBetasZeroSNR && len(c.Eta) > 0 && slices.Min(c.Eta) >= 1 {
				quantity += " zero SNR with eta 1"
			}
			got, original := run(t, sampler, s, timestepsOf(t, timesteps, c.Steps), c.Model, x, c.Eta, noise,
				schedule.Step{Steps: c.Steps})
			compareSteps(t, got, readLatents(t, f, c.Name).steps, tolerance(quantity))
			if name := strings.Replace(c.Name, "ddim/", "ddim_x0/", 1); name != c.Name && f.Has(name) {
				compareSteps(t, original, readLatents(t, f, name).steps, tolerance(quantity))
			}
		})
	}
}

// Inversion by DDIMInverse and back by DDIM.
func TestRoundTrips(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	tolerance := tolerances(t)("round trip")
	x := readLatents(t, f, "sample").steps[0]
	for _, c := range readManifest(t).RoundTrips {
		t.Run(c.Name, func(t *testing.T) {
			s := shared(t, folder(t, c.Config))
			step := schedule.Step{Steps: c.Steps}
			up, _ := run(t, schedule.DDIMInverse, s, timestepsOf(t, s.InverseTimesteps, c.Steps), "wave", x, nil, nil, step)
			inverted := up[len(up)-1:]
			compareSteps(t, inverted, readLatents(t, f, c.Name+"/inverted").steps, tolerance)
			down, _ := run(t, schedule.DDIM, s, timestepsOf(t, s.Timesteps, c.Steps), "wave", inverted[0], nil, nil, step)
			compareSteps(t, down[len(down)-1:], readLatents(t, f, c.Name+"/back").steps, tolerance)
		})
	}
}

// invert is HistDiST's inversion with n steps: the latents after each step, and what the translation starts from.
func invert(t *testing.T, s *schedule.Schedule, model string, x latents, n int, eta schedule.Eta,
	when schedule.Normalize, noise [][]float32,
) (after [][]float32, final []float32) {
	t.Helper()
	step := schedule.Step{Steps: n}
	if when == schedule.NormalizeSteps {
		step.Standardise = x.shape
	}
	timesteps := timestepsOf(t, s.InverseTimesteps, n)
	after, _ = run(t, schedule.Inversion, s, timesteps, model, x.steps[0], etaOf(t, eta, n), noise, step)
	final = slices.Clone(after[n-1])
	if when == schedule.NormalizeInversion {
		if err := schedule.Standardise(final, x.shape); err != nil {
			t.Fatal(err)
		}
	}
	return after, final
}

// The inversion loop of HistDiST's inference.py for its three --normalize values, with and without noise.
func TestInversion(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	tolerance := tolerances(t)
	x, noise := readLatents(t, f, "histdist/sample"), readLatents(t, f, "histdist/noise").steps
	for _, c := range readManifest(t).Inversions {
		t.Run(c.Name, func(t *testing.T) {
			s := shared(t, histdist(t, c.PredictionType))
			after, final := invert(t, s, c.Model, x, c.Steps, c.Eta, c.Normalize, noise)
			inversion := tolerance("histdist inversion " + string(c.PredictionType) + " normalize=" + string(c.Normalize))
			compareSteps(t, after, readLatents(t, f, c.Name).steps, inversion)
			name := strings.Replace(c.Name, "/inversion/", "/inversion_final/", 1)
			within(t, final, readLatents(t, f, name).steps[0], inversion)
		})
	}
}

// Inversion, standardisation and translation: all of inference.py between its two calls of the VAE.
func TestTranslation(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	tolerance := tolerances(t)("histdist inversion + translation")
	x, noise := readLatents(t, f, "histdist/sample"), readLatents(t, f, "histdist/noise").steps
	s := shared(t, histdist(t, schedule.VPrediction))
	for _, c := range []struct {
		name      string
		up, steps int
	}{{"histdist/translate/n20_20", 20, 20}, {"histdist/translate/n10_5", 10, 5}} {
		t.Run(c.name, func(t *testing.T) {
			_, start := invert(t, s, "wave", x, c.up, schedule.EtaZero(), schedule.NormalizeInversion, nil)
			within(t, start, readLatents(t, f, c.name+"/start").steps[0], tolerance)
			eta := etaOf(t, schedule.EtaCosineMin20(), c.steps)
			got, _ := run(t, schedule.DDIM, s, timestepsOf(t, s.Timesteps, c.steps), "wave", start, eta, noise,
				schedule.Step{Steps: c.steps})
			compareSteps(t, got, readLatents(t, f, c.name+"/trajectory").steps, tolerance)
		})
	}
}

// The default 100 + 100 steps, every tenth latents, with PyTorch's noise of seed 7.
func TestHundredSteps(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	tolerance := tolerances(t)("histdist n100 + n100")
	x := readLatents(t, f, "histdist/sample")
	const n = 100
	everyTenth := func(steps [][]float32) [][]float32 {
		var kept [][]float32
		for i := 9; i < len(steps); i += 10 {
			kept = append(kept, steps[i])
		}
		return kept
	}
	s := shared(t, histdist(t, schedule.VPrediction))
	up, start := invert(t, s, "wave", x, n, schedule.EtaZero(), schedule.NormalizeInversion, nil)
	compareSteps(t, everyTenth(up), readLatents(t, f, "histdist/n100/inversion_every10").steps, tolerance)
	within(t, start, readLatents(t, f, "histdist/n100/start").steps[0], tolerance)

	g, noise := rng.NewTorch(7), make([][]float32, n)
	for i := range noise {
		noise[i] = make([]float32, len(start))
		if err := g.RandnNHWC(noise[i], x.shape[0], x.shape[1], x.shape[2], x.shape[3]); err != nil {
			t.Fatal(err)
		}
	}
	for name, eta := range map[string]schedule.Eta{
		"eta0_every10":     schedule.EtaZero(),
		"cosine20_every10": schedule.EtaCosineMin20(),
	} {
		down, _ := run(t, schedule.DDIM, s, timestepsOf(t, s.Timesteps, n), "wave", start, etaOf(t, eta, n), noise,
			schedule.Step{Steps: n})
		compareSteps(t, everyTenth(down), readLatents(t, f, "histdist/n100/"+name).steps, tolerance)
	}
}

// With eta 1 at zero terminal SNR the share 1−ᾱ−σ² of the old noise is 0, and rounding makes it negative in some runs,
// of 50 steps among others, where the reference is NaN.
func TestFreshNoiseOnly(t *testing.T) {
	s := newSchedule(t, zeroTerminal(t))
	for n := 2; n <= s.Config.NumTrainTimesteps; n++ {
		x := []float32{0.5, -2}
		step := schedule.Step{Timestep: len(s.Betas) - 1, Steps: n, Eta: 1, Noise: []float32{1, -1}}
		if err := schedule.DDIM(s, x, []float32{0.3, 0.1}, step); err != nil {
			t.Fatal(err)
		}
		for _, v := range x {
			if math.IsNaN(float64(v)) || math.Abs(float64(v)) > 2 {
				t.Fatalf("%d steps: latents %v", n, x)
			}
		}
	}
}

// zeroTerminal is the configuration of HistDiST, without a file.
func zeroTerminal(t testing.TB) schedule.Config {
	t.Helper()
	c := schedule.DefaultConfig()
	c.BetaSchedule, c.BetaStart, c.BetaEnd = schedule.ScaledLinear, 0.00085, 0.012
	c.ClipSample, c.SetAlphaToOne = false, false
	c, err := c.For(schedule.VPrediction)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSamplersRefuse(t *testing.T) {
	s := newSchedule(t, schedule.DefaultConfig())
	four := func() []float32 { return []float32{1, 2, 3, 4} }
	for _, test := range []struct {
		name, want string
		output     []float32
		step       schedule.Step
	}{
		{"no run", "0 steps", four(), schedule.Step{Timestep: 5}},
		{"beyond the last time step", "time step 1000", four(), schedule.Step{Timestep: 1000, Steps: 10}},
		{"before the first time step", "time step -1001", four(), schedule.Step{Timestep: -1001, Steps: 10}},
		{"output of another size", "3 elements of output", four()[:3], schedule.Step{Timestep: 5, Steps: 10}},
		{"eta above 1", "eta is 1.5", four(), schedule.Step{Timestep: 5, Steps: 10, Eta: 1.5}},
		{"eta below 0", "eta is -1", four(), schedule.Step{Timestep: 5, Steps: 10, Eta: -1}},
		{"eta not a number", "eta is NaN", four(), schedule.Step{Timestep: 5, Steps: 10, Eta: math.NaN()}},
		{"no noise", "0 elements of noise", four(), schedule.Step{Timestep: 5, Steps: 10, Eta: 0.5}},
		{"shape of another size", "shape [1 2 2 2]", four(), schedule.Step{Timestep: 5, Steps: 10, Standardise: [4]int{1, 2, 2, 2}}},
	} {
		for name, sampler := range map[string]schedule.Sampler{"DDIM": schedule.DDIM, "Inversion": schedule.Inversion} {
			x := four()
			if err := sampler(s, x, test.output, test.step); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %s: error %v, want one that says %q", name, test.name, err, test.want)
			}
			if !slices.Equal(x, four()) {
				t.Errorf("%s, %s: latents have changed", name, test.name)
			}
		}
	}
	if err := schedule.DDIMInverse(s, four(), four(),
		schedule.Step{Timestep: 5, Steps: 10, Eta: 0.5, Noise: four()}); err == nil {
		t.Error("DDIMInverse with noise: no error")
	}
	if err := s.Original(four(), four(), four()[:2], 5); err == nil {
		t.Error("Original with output of another size: no error")
	}
}

// The clock of leading spacing with an offset of 1 and all time steps begins beyond the table: diffusers' IndexError.
func TestLeadingBeyondTheTable(t *testing.T) {
	c := schedule.DefaultConfig()
	c.StepsOffset = 1
	s := newSchedule(t, c)
	timesteps := timestepsOf(t, s.Timesteps, c.NumTrainTimesteps)
	if err := schedule.DDIM(s, []float32{1}, []float32{1},
		schedule.Step{Timestep: timesteps[0], Steps: len(timesteps)}); err == nil {
		t.Errorf("time step %d: no error", timesteps[0])
	}
}

// A step to the same x₀ and ε that the output means stays on the line √ᾱ·x₀ + √(1−ᾱ)·ε, up and down, for every
// prediction type.
func TestStepOnTheLineProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := schedule.DefaultConfig()
		c.ClipSample = false
		c.PredictionType = rapid.SampledFrom([]schedule.PredictionType{
			schedule.Epsilon, schedule.VPrediction,
			schedule.Sample,
		}).Draw(rt, "prediction")
		s := newSchedule(t, c)
		n := rapid.IntRange(2, 100).Draw(rt, "steps")
		low := rapid.IntRange(10, 999-1000/n).Draw(rt, "time step") // below, 1−ᾱ and above, ᾱ are small numbers to divide by
		high := low + 1000/n
		number := rapid.Float32Range(-3, 3)
		original, noise := []float32{number.Draw(rt, "x0")}, []float32{number.Draw(rt, "noise")}
		at := func(timestep int) (x, output []float32) {
			x, output = []float32{0}, []float32{0}
			if err := s.AddNoise(x, original, noise, []int{timestep}); err != nil {
				rt.Fatal(err)
			}
			switch c.PredictionType {
			case schedule.Epsilon:
				output = noise
			case schedule.Sample:
				output = original
			default:
				if err := s.Velocity(output, original, noise, []int{timestep}); err != nil {
					rt.Fatal(err)
				}
			}
			return x, output
		}
		below, outputBelow := at(low)
		above, outputAbove := at(high)
		up, down, guess := slices.Clone(below), slices.Clone(above), []float32{0}
		step := schedule.Step{Timestep: high, Steps: n}
		for _, err := range []error{
			schedule.DDIMInverse(s, up, outputBelow, step),
			schedule.DDIM(s, down, outputAbove, step),
			s.Original(guess, below, outputBelow, low),
		} {
			if err != nil {
				rt.Fatal(err)
			}
		}
		// Dividing by √ᾱ ≥ 6e-3 or √(1−ᾱ) ≥ 3e-2 multiplies float32's rounding, 6e-8 of a number below 6.
		for name, pair := range map[string][2]float32{
			"up": {up[0], above[0]}, "down": {down[0], below[0]}, "x₀": {guess[0], original[0]},
		} {
			if d := math.Abs(float64(pair[0] - pair[1])); d > 1e-4 {
				rt.Errorf("%s: %v, want %v", name, pair[0], pair[1])
			}
		}
	})
}
