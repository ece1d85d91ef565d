package train_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/train"
)

// row is an optimisation step of the reference, training.py's order of things with PyTorch, diffusers and accelerate.
type row struct {
	Step         int       `json:"step"`
	Losses       []float64 `json:"losses"` // of the micro-steps
	GradientNorm float64   `json:"gradient_norm"`
	LRUsed       float64   `json:"lr_used"`
	LRAfter      float64   `json:"lr_logged_after"`
	EMADecay     float64   `json:"ema_decay"`
}

// variant is a run of the reference.
type variant struct {
	Options struct {
		Prediction        schedule.PredictionType `json:"prediction_type"`
		SNRGamma          float64                 `json:"snr_gamma"`
		Accumulate        int                     `json:"accumulate"`
		NoiseOffset       float64                 `json:"noise_offset"`
		InputPerturbation float64                 `json:"input_perturbation"`
		LRSchedule        train.LRSchedule        `json:"lr_scheduler"`
		Warmup            int                     `json:"warmup"`
		LR                float64                 `json:"lr"`
		MaxGradNorm       float64                 `json:"max_grad_norm"`
	} `json:"options"`
	Steps []row `json:"steps"`
}

func (v variant) config() train.Config {
	o := v.Options
	c := train.Default()
	c.MaxSteps, c.Accumulate, c.Prediction, c.SNRGamma = len(v.Steps), o.Accumulate, o.Prediction, o.SNRGamma
	c.NoiseOffset, c.InputPerturbation, c.MaxGradNorm = o.NoiseOffset, o.InputPerturbation, o.MaxGradNorm
	c.LearningRate = train.LearningRate{Schedule: o.LRSchedule, Base: o.LR, Warmup: o.Warmup}
	c.AdamW = train.AdamW{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2}
	c.EMA, c.EMADecay = true, 0.9999
	return c
}

// decode reads a JSON file of golden data.
func decode(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(golden.Path(t, name))
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sdSchedule is Stable Diffusion 1.5's noise schedule for a prediction type.
func sdSchedule(t *testing.T, p schedule.PredictionType) *schedule.Schedule {
	c := schedule.DefaultConfig()
	c.BetaStart, c.BetaEnd, c.BetaSchedule = 0.00085, 0.012, schedule.ScaledLinear
	c.StepsOffset, c.SetAlphaToOne, c.ClipSample = 1, false, false
	c, err := c.For(p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schedule.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// references are micro-step i's example and draws.
type references struct {
	example func(i int) train.Example
	draws   func(i int) train.Draws
}

func readReferences(t *testing.T) references {
	f := golden.Open(t, "train/data.safetensors")
	images := func(name string) (func(i int) []float32, [4]int) {
		x := f.Float32(t, name)
		shape := x.Shape[1:]
		n := len(x.Data) / x.Shape[0]
		return func(i int) []float32 {
			return golden.NHWC(golden.Tensor[float32]{Shape: shape, Data: x.Data[i*n : (i+1)*n]}).Data
		}, [4]int{shape[0], shape[2], shape[3], shape[1]}
	}
	latents, shape := images("latents")
	condition, _ := images("he_latents")
	noise, _ := images("noise")
	perturbation, _ := images("perturbation")
	offset := f.Float32(t, "offset").Data
	text, phikon, timesteps := f.Float32(t, "he_prompt").Data, f.Float32(t, "phikon"), f.Int64(t, "timesteps").Data
	states := len(phikon.Data) / phikon.Shape[0]
	channels := shape[0] * shape[3]
	return references{
		func(i int) train.Example {
			e := train.Example{Shape: shape, Latents: latents(i), Context: text}
			if i%2 == 1 {
				e.Condition, e.Context = condition(i), phikon.Data[i/2*states:(i/2+1)*states]
			}
			return e
		},
		func(i int) train.Draws {
			d := train.Draws{Noise: noise(i), Offset: offset[i*channels : (i+1)*channels], Perturbation: perturbation(i)}
			for _, s := range timesteps[i*shape[0] : (i+1)*shape[0]] {
				d.Timesteps = append(d.Timesteps, int(s))
			}
			return d
		},
	}
}

// newTrainer trains the reference's network until the test ends.
func newTrainer(t *testing.T, d device.Device, c train.Config) *train.Trainer {
	t.Helper()
	trainer, err := train.New(c, train.Options{
		Device: d, UNet: golden.Path(t, "train/unet"),
		Schedule: sdSchedule(t, c.Prediction),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trainer.Close(); err != nil {
			t.Error(err)
		}
	})
	return trainer
}

// saved is a part of the trainer's state as files have it.
func saved(t *testing.T, trainer *train.Trainer, part train.Slot) map[string]golden.Tensor[float32] {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part.safetensors")
	if err := trainer.Save(path, part); err != nil {
		t.Fatal(err)
	}
	s, err := weights.Open(path, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tensors := map[string]golden.Tensor[float32]{}
	for _, info := range s.Tensors() {
		values, shape, err := s.Float32(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		tensors[info.Name] = golden.Tensor[float32]{Shape: shape, Data: values}
	}
	return tensors
}

// TestLearningRatesEqualDiffusers compares with diffusers' get_scheduler, past the end of the run too.
func TestLearningRatesEqualDiffusers(t *testing.T) {
	var reference struct {
		Schedules map[string]struct {
			Kind    train.LRSchedule `json:"kind"`
			Warmup  int              `json:"num_warmup_steps"`
			Steps   int              `json:"num_training_steps"`
			Base    float64          `json:"base_lr"`
			Options struct {
				Cycles float64 `json:"num_cycles"`
				Power  float64 `json:"power"`
			} `json:"options"`
			LR []float64 `json:"lr"`
		} `json:"schedules"`
		Errors map[string]string `json:"errors"`
	}
	decode(t, "train/lr.json", &reference)
	for name, s := range reference.Schedules {
		l := train.LearningRate{
			Schedule: s.Kind, Base: s.Base, Warmup: s.Warmup, Cycles: s.Options.Cycles,
			Power: s.Options.Power,
		}
		if err := validate(l, s.Steps); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i, want := range s.LR {
			if got := l.At(i, s.Steps); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: step %d: %.15g, want %.15g", name, i, got, want)
			}
		}
	}
	for name := range reference.Errors {
		l := train.LearningRate{Base: 1}
		kind, missing := strings.CutSuffix(name, " without warm-up steps")
		l.Schedule = train.LRSchedule(kind)
		if missing {
			l.Warmup = -1
		}
		if err := validate(l, 50); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestEMADecayEqualsDiffusers compares with EMAModel's get_decay.
func TestEMADecayEqualsDiffusers(t *testing.T) {
	var reference struct {
		Decays map[int]float64 `json:"ema_decay_at_optimization_step"`
	}
	decode(t, "train/train.json", &reference)
	if len(reference.Decays) == 0 {
		t.Fatal(errors.New("no decays"))
	}
	for step, want := range reference.Decays {
		if got := train.EMADecay(0.9999, step); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %.15g, want %.15g", step, got, want)
		}
	}
}
