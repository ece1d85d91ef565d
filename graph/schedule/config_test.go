package schedule_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/golden"
)

// The seven schedulers that HistDiST makes from a folder of Stable Diffusion 1.5, as diffusers resolves their
// configuration.
func TestConfigFor(t *testing.T) {
	file, err := schedule.ReadConfig(golden.Path(t, "tiny/scheduler/scheduler_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	constructors := readManifest(t).Constructors
	if len(constructors) == 0 {
		t.Fatal("no constructors")
	}
	for name, text := range constructors {
		t.Run(name, func(t *testing.T) {
			var want schedule.Config
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			delete(want.Extra, "variance_type") // DDPMScheduler's own
			want.ClassName, want.DiffusersVersion = file.ClassName, file.DiffusersVersion
			got, err := file.For(want.PredictionType)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, err := file.For(schedule.Sample); err == nil {
		t.Error("a model that predicts the sample: no error")
	}
}

// Keys that mean nothing here survive, and what is written is read again.
func TestConfigRoundTrip(t *testing.T) {
	var c schedule.Config
	text := `{"_class_name": "PNDMScheduler", "beta_start": 0.00085, "trained_betas": null,
		"skip_prk_steps": true, "Beta_End": "kept", "list": [1, 2]}`
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	want := schedule.DefaultConfig()
	want.ClassName, want.BetaStart = "PNDMScheduler", 0.00085
	want.Extra = map[string]json.RawMessage{
		"skip_prk_steps": []byte("true"), "Beta_End": []byte(`"kept"`),
		"list": []byte("[1,2]"),
	}
	path := filepath.Join(t.TempDir(), "scheduler_config.json")
	if err := schedule.WriteConfig(path, c); err != nil {
		t.Fatal(err)
	}
	again, err := schedule.ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Extra["list"] = []byte(strings.Join(strings.Fields(string(again.Extra["list"])), "")) // the file is indented
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(written), "{\n  \"Beta_End\": \"kept\",\n  \"_class_name\"") ||
		!strings.HasSuffix(string(written), "\n}\n") {
		t.Errorf("not sorted and indented as diffusers writes it:\n%s", written)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(files) != 1 {
		t.Errorf("files left behind: %v (%v)", files, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"beta_start": "x"}`:             "beta_start",
		`{"num_train_timesteps": 1000.5}`: "num_train_timesteps",
		`{"clip_sample": 1}`:              "clip_sample",
		`[]`:                              "array",
		`{} {}`:                           "after top-level value",
		``:                                "unexpected end",
	} {
		path := filepath.Join(t.TempDir(), "scheduler_config.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := schedule.ReadConfig(path); err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one that names the file and says %q", text, err, want)
		}
	}
	if _, err := schedule.ReadConfig(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("no file: no error")
	}
	if err := schedule.WriteConfig(filepath.Join(t.TempDir(), "none", "scheduler_config.json"),
		schedule.DefaultConfig()); err == nil {
		t.Error("no folder to write to: no error")
	}
}

// Whatever is read can be written and means the same again; New takes it or refuses it.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"_class_name": "PNDMScheduler", "beta_schedule": "scaled_linear", "steps_offset": 1,
		"skip_prk_steps": true}`))
	f.Add([]byte(`{"trained_betas": [0.1, 0.2], "num_train_timesteps": 2, "rescale_betas_zero_snr": true,
		"prediction_type": null}`))
	f.Add([]byte(`{"num_train_timesteps": 1e3, "clip_sample_range": -0, "extra": {"a": [1]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var c schedule.Config
		if json.Unmarshal(text, &c) != nil {
			return
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatalf("write %+v: %v", c, err)
		}
		var again schedule.Config
		if err := json.Unmarshal(written, &again); err != nil {
			t.Fatalf("read %s: %v", written, err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(written) {
			t.Fatalf("%s is read and written as %s (%v)", written, twice, err)
		}
		s, err := schedule.New(c)
		if err != nil {
			return
		}
		for step, a := range s.AlphasCumprod {
			if !(a >= 0 && a <= 1) {
				t.Fatalf("ᾱ of time step %d is %v", step, a)
			}
		}
	})
}
