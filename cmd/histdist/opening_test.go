package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/weights"
)

// demoModel is a copy of the built-in model that a test may change.
func demoModel(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.CopyFS(dir, demo.Model()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit sets keys of a JSON file; a nil value removes the key.
func edit(t *testing.T, path string, set map[string]any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	for k, v := range set {
		if keys[k] = v; v == nil {
			delete(keys, k)
		}
	}
	if text, err = json.Marshal(keys); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// rename saves a network's weights under other names, in a variant's file if one is named.
func rename(t *testing.T, folder, variant string, name func(string) string, more ...weights.Tensor) {
	t.Helper()
	s, err := weights.Open(folder, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	list := more
	for _, info := range s.Tensors() {
		values, shape, err := s.Float32(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, weights.NewTensor(name(info.Name), shape, values))
	}
	path := s.Path()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if variant != "" {
		path = strings.TrimSuffix(path, ".safetensors") + "." + variant + ".safetensors"
	}
	if err := weights.Save(path, list, weights.SaveOptions{DType: weights.Float16}); err != nil {
		t.Fatal(err)
	}
}

// commands runs inspect and translate on a model's folder and returns what they printed, and whether there is an
// output.
func commands(t *testing.T, model string, args ...string) (inspected, translated string, codes [2]int, written bool) {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "slide_3.png"), filepath.Join(dir, "stain.png")
	m := imagefile.New(16, 16)
	for i := range m.Pix {
		m.Pix[i] = uint8(7 * i)
	}
	if err := imagefile.Write(in, m, imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	codes[0] = run(t.Context(), append([]string{"model", "inspect", model}, args...), &stdout, &stderr)
	inspected = stdout.String() + stderr.String()
	stdout.Reset()
	stderr.Reset()
	codes[1] = run(t.Context(), append([]string{
		"translate", "--model", model, "--input", in, "--output", out, "--steps-inversion", "2", "--steps-translation", "2",
	}, args...), &stdout, &stderr)
	_, err := os.Stat(out)
	return inspected, stdout.String() + stderr.String(), codes, err == nil
}

// What translate refuses, inspect finds, and translate finds it before the first image.
func TestInspectFindsWhatTranslateRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, dir string)
		want   string
	}{
		"preprocessor that keeps the aspect ratio": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "phikon", "preprocessor_config.json"),
				map[string]any{"size": map[string]int{"shortest_edge": 224}})
		}, `preprocessor_config.json: size: {"shortest_edge":224}`},
		"preprocessor that crops": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "phikon", "preprocessor_config.json"), map[string]any{"do_center_crop": true})
		}, "preprocessor_config.json: do_center_crop: true is not supported"},
		"preprocessor of another class": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "phikon", "preprocessor_config.json"),
				map[string]any{"image_processor_type": "BitImageProcessor"})
		}, "BitImageProcessor"},
		"no preprocessor": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "phikon", "preprocessor_config.json")); err != nil {
				t.Fatal(err)
			}
		}, "preprocessor_config.json"},
		"epsilon with zero terminal SNR": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "scheduler", "scheduler_config.json"), map[string]any{"prediction_type": "epsilon"})
		}, "epsilon can't go with zero terminal SNR"},
		"prediction of samples": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "scheduler", "scheduler_config.json"), map[string]any{"prediction_type": "sample"})
		}, `prediction_type is "sample"`},
		"shifted latents": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "vae", "config.json"), map[string]any{"shift_factor": 0.1159})
		}, "shift_factor: 0.1159 is not supported"},
		"a U-Net without norms": {func(t *testing.T, dir string) {
			text, err := os.ReadFile(filepath.Join(dir, "unet", "config.json"))
			if err != nil {
				t.Fatal(err)
			}
			var keys map[string]json.RawMessage
			if err := json.Unmarshal(text, &keys); err != nil {
				t.Fatal(err)
			}
			keys["norm_num_groups"] = json.RawMessage("null")
			if text, err = json.Marshal(keys); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "unet", "config.json"), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "norm_num_groups: null"},
		"another prompt length": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "tokenizer", "tokenizer_config.json"), map[string]any{"model_max_length": 33})
		}, "model_max_length is 33"},
		"misspelt purpose": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "histdist.json"), map[string]any{"promt": "H&E"})
		}, `histdist.json: json: unknown field "promt": want the keys marker, markers, mpp, prompt and presets`},
		"an unknown prefix": {func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "unet"), "", func(name string) string { return "student.backbone." + name })
		}, `"student.backbone." precedes the tensors' names`},
		"two variants": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "vae", "diffusion_pytorch_model")
			for _, variant := range []string{"fp16", "bf16"} {
				rename(t, filepath.Join(dir, "vae"), variant, func(name string) string { return name })
			}
			if err := os.Remove(path + ".safetensors"); err != nil {
				t.Fatal(err)
			}
		}, "weights in the variants bf16, fp16 only: choose one, such as --variant bf16"},
		"JSON in UTF-16": {func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "vae", "config.json"), []byte("\xff\xfe{\x00}\x00"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "the text is in UTF-16: save it as UTF-8"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := demoModel(t)
			test.change(t, dir)
			inspected, translated, codes, written := commands(t, dir)
			check(t, "inspect", inspected, test.want)
			check(t, "translate", translated, test.want)
			if codes != [2]int{exitFailed, exitFailed} || written || strings.Contains(translated, "slide_3") {
				t.Errorf("exit codes %v, written %v: want both to refuse the model before the image:\n%s", codes, written,
					translated)
			}
		})
	}
}

// Folders as other programs write them are used, and what was done to them is noted.
func TestFoldersOfOtherProgramsAreRead(t *testing.T) {
	wrapped := func(prefix string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "unet"), "", func(name string) string { return prefix + name })
		}
	}
	tests := map[string]struct {
		change func(t *testing.T, dir string)
		args   []string
		want   string // a note of both commands; "" is none
	}{
		"the built-in model": {nil, nil, ""},
		"byte order marks": {func(t *testing.T, dir string) {
			files, err := filepath.Glob(filepath.Join(dir, "*", "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range append(files, filepath.Join(dir, "model_index.json"), filepath.Join(dir, "histdist.json"),
				filepath.Join(dir, "tokenizer", "merges.txt")) {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, append([]byte("\xef\xbb\xbf"), text...), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}, nil, ""},
		"torch.compile":                   {wrapped("_orig_mod."), nil, `unet: the tensors' names begin with "_orig_mod."`},
		"distributed training":            {wrapped("module."), nil, `"module."`},
		"both":                            {wrapped("module._orig_mod."), nil, `"module._orig_mod."`},
		"both, the other way round":       {wrapped("_orig_mod.module."), nil, `"_orig_mod.module."`},
		"an attribute":                    {wrapped("unet."), nil, `"unet."`},
		"an attribute of a wrapped model": {wrapped("module.model."), nil, `"module.model."`},
		"torch.compile of some blocks alone": {func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "unet"), "", func(name string) string {
				return strings.Replace(name, "mid_block.",
					"mid_block._orig_mod.", 1)
			})
		}, nil, `"_orig_mod."`},
		"an averaged model": {func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "unet"), "", func(name string) string { return "module." + name },
				weights.NewTensor("n_averaged", []int{}, []float32{7}))
		}, nil, `"module."`},
		"a variant of one network": {func(t *testing.T, dir string) {
			rename(t, filepath.Join(dir, "vae"), "fp16", func(name string) string { return name })
			rename(t, filepath.Join(dir, "vae"), "bf16", func(name string) string { return name })
			if err := os.Remove(filepath.Join(dir, "vae", "diffusion_pytorch_model.safetensors")); err != nil {
				t.Fatal(err)
			}
		}, []string{"--variant", "fp16"}, ""},
		"no clip_sample": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "scheduler", "scheduler_config.json"), map[string]any{"clip_sample": nil})
		}, nil, "has no clip_sample: false"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			dir := "demo"
			if test.change != nil {
				dir = demoModel(t)
				test.change(t, dir)
			}
			inspected, translated, codes, written := commands(t, dir, test.args...)
			if codes != [2]int{exitOK, exitOK} || !written {
				t.Fatalf("exit codes %v, written %v:\n%s%s", codes, written, inspected, translated)
			}
			for _, text := range []string{inspected, translated} {
				text = strings.ReplaceAll(text, "note: preset fast", "") // which the model has
				if noted := strings.Contains(text, "note: "); noted != (test.want != "") || !strings.Contains(text, test.want) {
					t.Errorf("want the note %q:\n%s", test.want, text)
				}
			}
		})
	}
}

// The folder's prediction type holds; a flag that contradicts it is reported.
func TestTheFolderSaysWhatIsPredicted(t *testing.T) {
	dir := demoModel(t)
	edit(t, filepath.Join(dir, "scheduler", "scheduler_config.json"), map[string]any{
		"prediction_type": "epsilon", "rescale_betas_zero_snr": false, "timestep_spacing": "leading",
	})
	picture := func(args ...string) ([]uint8, []imagefile.Pair, string) {
		t.Helper()
		in, out := filepath.Join(t.TempDir(), "he.png"), filepath.Join(t.TempDir(), "stain.png")
		m := imagefile.New(16, 16)
		for i := range m.Pix {
			m.Pix[i] = uint8(7 * i)
		}
		if err := imagefile.Write(in, m, imagefile.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr strings.Builder
		args = append([]string{
			"translate", "--model", dir, "--input", in, "--output", out, "--steps-inversion", "2",
			"--steps-translation", "2",
		}, args...)
		if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
			t.Fatalf("exit code %d: %s", code, &stderr)
		}
		got, err := imagefile.Read(out, imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pairs, err := imagefile.ReadProvenance(out)
		if err != nil {
			t.Fatal(err)
		}
		return got.Pix, pairs, stderr.String()
	}
	plain, _, said := picture()
	if strings.Contains(said, "note:") {
		t.Errorf("nothing was overridden: %s", said)
	}
	asked, _, _ := picture("--prediction-type", "epsilon")
	if string(plain) != string(asked) {
		t.Error("the folder's prediction type makes another picture than the flag of that type")
	}
	other, pairs, said := picture("--prediction-type", "v_prediction")
	const note = "prediction type v_prediction, though scheduler_config.json says epsilon"
	if string(plain) == string(other) || !strings.Contains(said, "note: "+note) {
		t.Errorf("a flag that contradicts the folder: %s", said)
	}
	found := false
	for _, p := range pairs {
		found = found || p.Key == "histdist.notes" && p.Value == note
	}
	if !found {
		t.Errorf("provenance %v: want the note", pairs)
	}
}

// A run's folder is no model, and says how to make one of it.
func TestARunIsNoModel(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "my-er")
	if err := os.MkdirAll(filepath.Join(runs, "checkpoint-5", "unet"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"experiment.yaml", "latest", "checkpoint-5/manifest.json", "checkpoint-5/state.json"} {
		if err := os.WriteFile(filepath.Join(runs, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tissue := filepath.Join(t.TempDir(), "tissue")
	if code := run(t.Context(), []string{
		"data", "synth", "--output", tissue, "--pairs", "1", "--val-pairs", "1", "--size",
		"64",
	}, &strings.Builder{}, &strings.Builder{}); code != exitOK {
		t.Fatalf("data synth: exit code %d", code)
	}
	for path, want := range map[string]string{
		runs: "not a model: export it first: histdist export " + runs + " --output MODEL",
		filepath.Join(runs,
			"checkpoint-5"): "is a checkpoint of a training run, not a model: export it first: histdist export ",
	} {
		for _, args := range [][]string{
			{"model", "inspect", path},
			{"model", "convert", path, filepath.Join(t.TempDir(), "out")},
			{"bench", "--model", path},
			{
				"train", "demo", "--set", "data.dir=" + tissue, "--set", "data.crop=64", "--set", "data.batch=1", "--set",
				"model.base=" + path, "--set", "run.output=" + t.TempDir(),
			},
		} {
			var stdout, stderr strings.Builder
			if code := run(t.Context(), args, &stdout, &stderr); code != exitFailed {
				t.Errorf("%v: exit code %d", args, code)
			}
			check(t, strings.Join(args[:2], " "), stderr.String(), want)
		}
	}
}
