package schedule

import (
	"errors"
	"fmt"
	"math"
)

// Schedule is the noise of each time step t = 0 … T−1 of a diffusion: at t a sample is √ᾱ·x₀ + √(1−ᾱ)·ε. It is
// immutable.
type Schedule struct {
	Config        Config
	Betas         []float32 // β [T]: the variance that a time step adds
	AlphasCumprod []float32 // ᾱ [T]: the product of 1−β up to a time step, inclusive

	// InitialAlphaCumprod is ᾱ before the first time step: diffusers' final_alpha_cumprod of DDIM and
	// initial_alpha_cumprod of its inverse.
	InitialAlphaCumprod float32
}

// maxTrainTimesteps bounds the memory that a configuration file can ask for.
const maxTrainTimesteps = 1 << 20

// New computes the schedule of a configuration.
func New(c Config) (*Schedule, error) {
	betas, err := betasOf(c)
	if err != nil {
		return nil, fmt.Errorf("noise schedule: %w", err)
	}
	s := &Schedule{Config: c, Betas: betas, AlphasCumprod: cumprod(betas), InitialAlphaCumprod: 1}
	if !c.SetAlphaToOne {
		s.InitialAlphaCumprod = s.AlphasCumprod[0]
	}
	return s, nil
}

// betasOf checks a configuration and computes its β.
func betasOf(c Config) ([]float32, error) {
	n := c.NumTrainTimesteps
	if n < 1 || n > maxTrainTimesteps {
		return nil, fmt.Errorf("num_train_timesteps is %d, want 1 to %d", n, maxTrainTimesteps)
	}
	switch c.PredictionType {
	case Epsilon, VPrediction, Sample:
	default:
		return nil, fmt.Errorf("prediction_type is %q, want %s, %s or %s", c.PredictionType, Epsilon, VPrediction, Sample)
	}
	switch c.TimestepSpacing {
	case Leading, Trailing, Linspace:
	default:
		return nil, fmt.Errorf("timestep_spacing is %q, want %s, %s or %s", c.TimestepSpacing, Leading, Trailing, Linspace)
	}
	if c.Thresholding {
		return nil, errors.New("thresholding is true, but dynamic thresholding is for models of pixels, not of latents")
	}
	if c.ClipSample && !(c.ClipSampleRange >= 0) {
		return nil, fmt.Errorf("clip_sample_range is %v, want 0 or more", c.ClipSampleRange)
	}

	var betas []float32
	switch {
	case c.TrainedBetas != nil:
		if len(c.TrainedBetas) != n {
			return nil, fmt.Errorf("trained_betas has %d values for %d time steps", len(c.TrainedBetas), n)
		}
		betas = make([]float32, n)
		for i, b := range c.TrainedBetas {
			betas[i] = float32(b)
		}
	case c.BetaSchedule == Linear:
		betas = linspace(c.BetaStart, c.BetaEnd, n)
	case c.BetaSchedule == ScaledLinear:
		betas = linspace(math.Sqrt(c.BetaStart), math.Sqrt(c.BetaEnd), n)
		for i, root := range betas {
			betas[i] = root * root
		}
	case c.BetaSchedule == SquaredCos:
		betas = squaredCos(n)
	default:
		return nil, fmt.Errorf("beta_schedule is %q, want %s, %s or %s", c.BetaSchedule, Linear, ScaledLinear, SquaredCos)
	}
	if c.RescaleBetasZeroSNR {
		betas = rescaleZeroTerminalSNR(betas)
	}
	for t, b := range betas {
		if !(b >= 0 && b <= 1) {
			return nil, fmt.Errorf("the variance β of time step %d is %v, want 0 to 1: check beta_start, beta_end, "+
				"trained_betas and, where all are equal, rescale_betas_zero_snr", t, b)
		}
	}
	return betas, nil
}

// linspace is torch.linspace in float32: each half counts from its own end, and each element is rounded once.
func linspace(start, end float64, n int) []float32 {
	first, last := float64(float32(start)), float64(float32(end))
	step := float64(float32(last-first) / float32(max(n-1, 1)))
	x := make([]float32, n)
	for i := range x {
		if i < n/2 || n == 1 {
			x[i] = float32(math.FMA(step, float64(i), first))
		} else {
			x[i] = float32(math.FMA(-step, float64(n-1-i), last))
		}
	}
	return x
}

// squaredCos is betas_for_alpha_bar: ᾱ(t) = cos²((t + 0.008)/1.008 · π/2), equation 17 of Nichol and Dhariwal (2021),
// with β at most 0.999.
func squaredCos(n int) []float32 {
	alphaBar := func(i int) float64 {
		t := float64(i) / float64(n)
		return math.Pow(math.Cos((t+0.008)/1.008*math.Pi/2), 2)
	}
	betas := make([]float32, n)
	for i := range betas {
		betas[i] = float32(min(1-alphaBar(i+1)/alphaBar(i), 0.999))
	}
	return betas
}

// cumprod is ᾱ of β. As in PyTorch the product runs in float64, and each element is rounded to float32.
func cumprod(betas []float32) []float32 {
	product, alphas := 1.0, make([]float32, len(betas))
	for i, b := range betas {
		product *= float64(1 - b)
		alphas[i] = float32(product)
	}
	return alphas
}

// rescaleZeroTerminalSNR shifts and scales √ᾱ so that it is 0 at the last time step and stays at the first: algorithm 1
// of Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2023). PyTorch's vectorised roots are
// off in the last bit here and there, so its ᾱ by up to 3.6e-7.
func rescaleZeroTerminalSNR(betas []float32) []float32 {
	roots := cumprod(betas)
	for i, a := range roots {
		roots[i] = sqrt(a)
	}
	first, last := roots[0], roots[len(roots)-1]
	scale := first / (first - last)
	rescaled := make([]float32, len(betas))
	previous := float32(1)
	for i, root := range roots {
		root = (root - last) * scale
		alpha := root * root // ᾱ
		rescaled[i] = 1 - alpha/previous
		previous = alpha
	}
	return rescaled
}

// alphaCumprod is ᾱ of a time step. As in Python, −1 is the last one; Timesteps says when that happens.
func (s *Schedule) alphaCumprod(timestep int) (float32, error) {
	n := len(s.AlphasCumprod)
	if timestep < -n || timestep >= n {
		return 0, fmt.Errorf("time step %d is not one of the %d of training", timestep, n)
	}
	if timestep < 0 {
		timestep += n
	}
	return s.AlphasCumprod[timestep], nil
}

// sqrt is the root of a float32, rounded once.
func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
