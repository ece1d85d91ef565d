package schedule_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/golden"
)

// manifest is what the tests need of schedules.json.
type manifest struct {
	Constructors map[string]json.RawMessage `json:"histdist_constructors"`
	Special      map[string]string          `json:"set_timesteps_special"`
	Trajectories []struct {
		Name      string          `json:"name"`
		Scheduler string          `json:"scheduler"`
		Model     string          `json:"model"`
		Steps     int             `json:"steps"`
		Eta       []float64       `json:"eta"`
		Config    json.RawMessage `json:"config"`
	} `json:"trajectories"`
	RoundTrips []struct {
		Name   string          `json:"name"`
		Steps  int             `json:"steps"`
		Config json.RawMessage `json:"config"`
	} `json:"round_trips"`
	Inversions []struct {
		Name           string                  `json:"name"`
		PredictionType schedule.PredictionType `json:"prediction_type"`
		Normalize      schedule.Normalize      `json:"normalize"`
		Eta            schedule.Eta            `json:"eta"`
		Steps          int                     `json:"steps"`
		Model          string                  `json:"model"`
	} `json:"histdist_inversion"`
	Eta struct {
		Clipped map[string][]float64 `json:"clipped"`
	} `json:"eta"`
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	var m manifest
	readJSON(t, "schedules.json", &m)
	return m
}

func readJSON(t *testing.T, name string, value any) {
	t.Helper()
	text, err := os.ReadFile(golden.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// tolerances returns the comparison of a quantity: at most four times what float32 and float64 were seen to differ by,
// relative to the largest value of the tensor where that is larger than the largest value they were measured on.
func tolerances(t *testing.T) func(quantity string) comparison {
	t.Helper()
	var table map[string]comparison
	readJSON(t, "tolerances-b/schedules.json", &table)
	return func(quantity string) comparison {
		t.Helper()
		c, ok := table[quantity]
		if !ok {
			t.Fatalf("no tolerance of %q", quantity)
		}
		return c
	}
}

type comparison struct {
	Largest   float64 `json:"max_abs_value"`
	Suggested float64 `json:"suggested_abs"`
}

func within[T float32 | float64](t *testing.T, got, want []T, c comparison) {
	t.Helper()
	largest := c.Largest
	for _, v := range want {
		if a := math.Abs(float64(v)); a > largest && !math.IsInf(a, 1) {
			largest = a
		}
	}
	golden.Within(t, got, want, golden.Tolerance{Atol: c.Suggested * largest / c.Largest})
}

// base is the schedule of Stable Diffusion with diffusers' defaults for the rest, changed by JSON.
func base(t *testing.T, change json.RawMessage) *schedule.Schedule {
	t.Helper()
	text := map[string]json.RawMessage{
		"beta_start": []byte("0.00085"), "beta_end": []byte("0.012"),
		"beta_schedule": []byte(`"scaled_linear"`), "num_train_timesteps": []byte("1000"),
	}
	return build(t, text, change)
}

// folder is the schedule of the model folder's scheduler_config.json, changed by JSON: from_pretrained with overrides.
func folder(t *testing.T, change json.RawMessage) *schedule.Schedule {
	t.Helper()
	var text map[string]json.RawMessage
	readJSON(t, "tiny/scheduler/scheduler_config.json", &text)
	return build(t, text, change)
}

func build(t *testing.T, keys map[string]json.RawMessage, change json.RawMessage) *schedule.Schedule {
	t.Helper()
	if change != nil {
		if err := json.Unmarshal(change, &keys); err != nil { // adds to the map
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	var c schedule.Config
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return newSchedule(t, c)
}

// histdist is the schedule that HistDiST makes for a model of this prediction type.
func histdist(t *testing.T, p schedule.PredictionType) *schedule.Schedule {
	t.Helper()
	c, err := schedule.ReadConfig(golden.Path(t, "tiny/scheduler/scheduler_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err = c.For(p)
	if err != nil {
		t.Fatal(err)
	}
	return newSchedule(t, c)
}

// shared replaces the noise levels of a schedule with zero terminal SNR by PyTorch's own, which its vectorised roots
// make differ in the last places: the tolerances of what is computed from noise levels are for equal ones.
func shared(t *testing.T, s *schedule.Schedule) *schedule.Schedule {
	t.Helper()
	if s.Config.RescaleBetasZeroSNR {
		s.AlphasCumprod = golden.Open(t, "schedules.safetensors").Float32(t, "alphas_cumprod/zero_snr").Data
		if !s.Config.SetAlphaToOne {
			s.InitialAlphaCumprod = s.AlphasCumprod[0]
		}
	}
	return s
}

func newSchedule(t testing.TB, c schedule.Config) *schedule.Schedule {
	t.Helper()
	s, err := schedule.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// standIn is what takes the network's place: the output for latents x at a time step.
func standIn(t *testing.T, model string, x []float32, timestep int) []float32 {
	t.Helper()
	y, time := make([]float32, len(x)), float64(timestep)
	for i, v := range x {
		switch model {
		case "ramp":
			y[i] = v * float32(time/(time+1))
		case "wave":
			y[i] = float32(math.Tanh(float64(v))) * float32(math.Cos(time/1000))
		default:
			t.Fatalf("no stand-in %q for the network", model)
		}
	}
	return y
}

// latents is a golden tensor [N,C,H,W], or one [K,N,C,H,W] of steps, as latents [N,H,W,C] each.
type latents struct {
	shape [4]int // [N,H,W,C]
	steps [][]float32
}

func readLatents(t *testing.T, f *golden.File, name string) latents {
	t.Helper()
	x := f.Float32(t, name)
	if len(x.Shape) == 4 {
		x.Shape = append([]int{1}, x.Shape...)
	}
	size := len(x.Data) / x.Shape[0]
	var l latents
	for k := range x.Shape[0] {
		step := golden.NHWC(golden.Tensor[float32]{Shape: x.Shape[1:], Data: x.Data[k*size : (k+1)*size]})
		l.shape = [4]int(step.Shape)
		l.steps = append(l.steps, step.Data)
	}
	return l
}
