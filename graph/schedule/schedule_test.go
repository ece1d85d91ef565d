package schedule_test

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/golden"
)

var zeroSNR = json.RawMessage(`{"rescale_betas_zero_snr": true}`)

// rootTolerance bounds what PyTorch's vectorised square roots, of which some are off by one place, do to the rescaled
// ᾱ.
const rootTolerance = 1e-6

// DDIMScheduler's betas and alphas_cumprod: every bit, but for the roots of the rescaling.
func TestSchedule(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	exact := golden.Tolerance{}
	tolerance := tolerances(t)

	plain := base(t, nil)
	golden.Within(t, plain.Betas, f.Float32(t, "betas/plain").Data, exact)
	golden.Within(t, plain.AlphasCumprod, f.Float32(t, "alphas_cumprod/plain").Data, exact)

	zero := base(t, zeroSNR)
	golden.Within(t, zero.AlphasCumprod, f.Float32(t, "alphas_cumprod/zero_snr").Data,
		golden.Tolerance{Atol: rootTolerance})
	within(t, zero.Betas, f.Float32(t, "betas/zero_snr").Data, tolerance("betas zero_snr (against all-float64)"))
	if last := zero.AlphasCumprod[len(zero.AlphasCumprod)-1]; last != 0 {
		t.Errorf("ᾱ of the last time step is %v, want 0", last)
	}

	for _, kind := range []schedule.BetaSchedule{schedule.Linear, schedule.SquaredCos} {
		c := schedule.DefaultConfig()
		c.BetaSchedule = kind
		golden.Within(t, newSchedule(t, c).Betas, f.Float32(t, "betas/"+string(kind)).Data, exact)
	}
	for name, s := range map[string]*schedule.Schedule{"plain": plain, "zero_snr": zero} {
		within(t, widen(s.AlphasCumprod), f.Float64(t, "exact_alphas_cumprod/"+name+"/64").Data,
			tolerance("alphas_cumprod "+name+" (against all-float64)"))
	}
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// trained_betas replaces the range, and is not rescaled twice.
func TestTrainedBetas(t *testing.T) {
	s := base(t, nil)
	c := s.Config
	c.BetaSchedule = "unused"
	c.TrainedBetas = widen(s.Betas)
	if diff := cmp.Diff(s.AlphasCumprod, newSchedule(t, c).AlphasCumprod); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		name, want string
		change     func(*schedule.Config)
	}{
		{"no time steps", "num_train_timesteps", func(c *schedule.Config) { c.NumTrainTimesteps = 0 }},
		{"too many time steps", "num_train_timesteps", func(c *schedule.Config) { c.NumTrainTimesteps = 1 << 40 }},
		{"beta schedule", "scaled_linear", func(c *schedule.Config) { c.BetaSchedule = "quadratic" }},
		{"prediction type", "v_prediction", func(c *schedule.Config) { c.PredictionType = "flow" }},
		{"spacing", "trailing", func(c *schedule.Config) { c.TimestepSpacing = "middle" }},
		{"thresholding", "thresholding", func(c *schedule.Config) { c.Thresholding = true }},
		{"clip range", "clip_sample_range", func(c *schedule.Config) { c.ClipSampleRange = -1 }},
		{"trained betas", "trained_betas", func(c *schedule.Config) { c.TrainedBetas = []float64{0.1} }},
		{"beta above 1", "beta_end", func(c *schedule.Config) { c.BetaEnd = 1.5 }},
		{"beta below 0", "beta_start", func(c *schedule.Config) { c.BetaStart = -0.1 }},
		{"root of a negative beta", "beta_start", func(c *schedule.Config) { c.BetaStart, c.BetaSchedule = -0.1, schedule.ScaledLinear }},
		{"nothing to rescale", "rescale_betas_zero_snr", func(c *schedule.Config) { c.NumTrainTimesteps, c.RescaleBetasZeroSNR = 1, true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := schedule.DefaultConfig()
			test.change(&c)
			if _, err := schedule.New(c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
}

// set_timesteps of DDIMScheduler, DDPMScheduler and DDIMInverseScheduler: every list, and whatever fails or is empty
// there is refused.
func TestTimesteps(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	label := regexp.MustCompile(`^timesteps/(ddim|ddpm|inverse)/(\w+)/offset(\d+)/n(-?\d+)$`)
	timesteps := func(name string) ([]int, error) {
		m := label.FindStringSubmatch(name)
		if m == nil {
			t.Fatalf("unknown name %q", name)
		}
		var n int
		if _, err := fmt.Sscan(m[4], &n); err != nil {
			t.Fatal(err)
		}
		s := base(t, json.RawMessage(`{"timestep_spacing": "`+m[2]+`", "steps_offset": `+m[3]+`}`))
		if m[1] == "inverse" {
			return s.InverseTimesteps(n)
		}
		return s.Timesteps(n)
	}
	compared := 0
	for _, name := range f.Names() {
		if !strings.HasPrefix(name, "timesteps/") {
			continue
		}
		compared++
		got, err := timesteps(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := []int{}
		for _, step := range f.Int64(t, name).Data {
			want = append(want, int(step))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	special := readManifest(t).Special
	if compared == 0 || len(special) == 0 {
		t.Fatalf("%d lists and %d refusals of time steps", compared, len(special))
	}
	for name, reference := range special {
		if got, err := timesteps(name); err == nil {
			t.Errorf("%s: %v, want an error; diffusers: %s", name, got, reference)
		}
	}
}

// numpy.arange gives trailing spacing one time step too many for 62 of the numbers up to 1000.
func TestTrailingSurplus(t *testing.T) {
	s := histdist(t, schedule.VPrediction)
	var surplus []int
	for n := 1; n <= s.Config.NumTrainTimesteps; n++ {
		steps, err := s.InverseTimesteps(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) == n+1 && steps[0] == -1 {
			surplus = append(surplus, n)
		} else if len(steps) != n {
			t.Errorf("%d steps have %d time steps", n, len(steps))
		}
	}
	if diff := cmp.Diff([]int{61, 103, 121, 122, 201, 206}, surplus[:6]); diff != "" || len(surplus) != 62 {
		t.Errorf("%d numbers with a surplus, want 62 (-want +got):\n%s", len(surplus), diff)
	}
}

// add_noise and get_velocity of DDPMScheduler.
func TestForward(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	x, noise := f.Float32(t, "forward/sample").Data, f.Float32(t, "forward/noise").Data
	var timesteps []int
	for _, step := range f.Int64(t, "forward/timesteps").Data {
		timesteps = append(timesteps, int(step))
	}
	tolerance := tolerances(t)
	for name, change := range map[string]json.RawMessage{"plain": nil, "zero_snr": zeroSNR} {
		s := shared(t, base(t, change))
		got := make([]float32, len(x))
		if err := s.AddNoise(got, x, noise, timesteps); err != nil {
			t.Fatal(err)
		}
		within(t, got, f.Float32(t, "forward/add_noise/"+name).Data, tolerance("add_noise "+name))
		if err := s.Velocity(got, x, noise, timesteps); err != nil {
			t.Fatal(err)
		}
		within(t, got, f.Float32(t, "forward/velocity/"+name).Data, tolerance("get_velocity "+name))
	}
}

// compute_snr, and the loss weights of --snr_gamma 5.
func TestMinSNR(t *testing.T) {
	f := golden.Open(t, "schedules.safetensors")
	tolerance := tolerances(t)
	for name, change := range map[string]string{"plain": "", "zero_snr": `, "rescale_betas_zero_snr": true`} {
		for _, p := range []schedule.PredictionType{schedule.VPrediction, schedule.Epsilon} {
			s := shared(t, base(t, json.RawMessage(`{"prediction_type": "`+string(p)+`"`+change+`}`)))
			key := "min_snr5_weight/" + string(p) + "/" + name
			if !f.Has(key) {
				key += "/nonfinite"
			}
			snr, want := f.Float32(t, "snr/"+name).Data, widen(f.Float32(t, key).Data)
			var gotSNR, wantSNR, got []float64 // the ratio as ᾱ = SNR/(1+SNR)
			for step, r := range snr {
				ratio, err := s.SNR(step)
				if err != nil {
					t.Fatal(err)
				}
				weight, err := s.MinSNRWeight(step, 5)
				if err != nil {
					t.Fatal(err)
				}
				gotSNR, wantSNR = append(gotSNR, ratio/(1+ratio)), append(wantSNR, float64(r)/(1+float64(r)))
				got = append(got, weight)
			}
			within(t, gotSNR, wantSNR, tolerance("snr "+name+" / (1+snr)"))
			within(t, got, want, tolerance("snr "+name+" / (1+snr)"))
		}
	}
	s := base(t, json.RawMessage(`{"prediction_type": "sample"}`))
	if _, err := s.MinSNRWeight(3, 5); err == nil {
		t.Error("no error for a prediction type without weights")
	}
}

func TestForwardRefuses(t *testing.T) {
	s := newSchedule(t, schedule.DefaultConfig())
	four, three := make([]float32, 4), make([]float32, 3)
	for _, test := range []struct {
		name string
		err  error
	}{
		{"no time steps", s.AddNoise(four, four, four, nil)},
		{"samples of unequal size", s.AddNoise(three, three, three, []int{1, 2})},
		{"noise of another size", s.AddNoise(four, four, three, []int{1})},
		{"result of another size", s.Velocity(three, four, four, []int{1})},
		{"time step −1", s.Velocity(four, four, four, []int{-1})},
		{"time step 1000", s.AddNoise(four, four, four, []int{1000})},
	} {
		if test.err == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
	if _, err := s.SNR(1000); err == nil {
		t.Error("SNR of time step 1000: no error")
	}
}

// Noise and velocity are a rotation of sample and noise: √ᾱ·xₜ − √(1−ᾱ)·v is the sample.
func TestVelocityProperty(t *testing.T) {
	s := newSchedule(t, schedule.DefaultConfig())
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Float32Range(-4, 4)
		x, noise := []float32{number.Draw(t, "x")}, []float32{number.Draw(t, "noise")}
		step := rapid.IntRange(0, len(s.Betas)-1).Draw(t, "time step")
		noisy, v := []float32{0}, []float32{0}
		if err := s.AddNoise(noisy, x, noise, []int{step}); err != nil {
			t.Fatal(err)
		}
		if err := s.Velocity(v, x, noise, []int{step}); err != nil {
			t.Fatal(err)
		}
		a := float64(s.AlphasCumprod[step])
		back := math.Sqrt(a)*float64(noisy[0]) - math.Sqrt(1-a)*float64(v[0])
		if d := math.Abs(back - float64(x[0])); d > 2e-6 {
			t.Errorf("back from noise is %v, want %v", back, x[0])
		}
	})
}
