package experiments_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/synth"
	"github.com/histdist/histdist/train"
)

func TestBuiltInExperimentsAreValid(t *testing.T) {
	names := experiments.Names()
	for _, name := range []string{"base", "bci", "demo", "distill", "er", "her2", "ki67", "pr"} {
		if !slices.Contains(names, name) {
			t.Errorf("no experiment %s", name)
		}
	}
	for _, name := range names {
		if name == "base" {
			continue // has no data
		}
		if _, _, err := experiments.Load(name, nil, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tissue is a folder of synthetic pairs, made once.
var tissue = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "histdist-tissue-")
	if err != nil {
		return "", err
	}
	c := synth.Default()
	c.Pairs, c.ValPairs, c.Size, c.PatientPairs = 6, 2, 64, 2
	return dir, synth.Write(context.Background(), dir, c, nil)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := tissue(); err != nil || os.RemoveAll(dir) != nil {
		code = 1
	}
	os.Exit(code)
}

// load is the demo's experiment on the reference data's tiny model, with keys over it.
func load(t *testing.T, output string, set ...string) (experiments.Config, []configs.Value) {
	dir, err := tissue()
	if err != nil {
		t.Fatal(err)
	}
	set = append([]string{
		"data.dir=" + dir, "model.base=" + golden.Path(t, "tiny"),
		"model.phikon=" + golden.Path(t, "tiny-phikon"), "run.output=" + output,
		"run.tensorboard=false", "data.crop=64", "data.batch=1", "train.steps=6", "train.lr-warmup=1",
		"train.checkpoint-every=2", "train.validate-every=0",
		"validation.pairs=1", "validation.translations=1", "validation.steps-inversion=2", "validation.steps-translation=2",
	}, set...)
	c, values, err := experiments.Load("demo", set, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, values
}

func open(t *testing.T, output string, set ...string) *experiments.Experiment {
	c, values := load(t, output, set...)
	e, err := experiments.Open(t.Context(), c, values)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// A run that is interrupted and resumed ends with the bytes of one that was not, images and all. Validation changes
// none of them.
func TestResumedRunsAreEqual(t *testing.T) {
	whole, broken := t.TempDir(), t.TempDir()
	if _, err := open(t, whole).Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	validated := []string{"train.validate-every=2", "validation.translations=0"}
	_, err := open(t, broken, validated...).Run(ctx, experiments.Launch{Observe: progress.On(func(m train.Metrics) error {
		if m.Step == 3 {
			cancel()
		}
		return nil
	})})
	if !errors.Is(err, train.ErrStopped) {
		t.Fatalf("error %v, want %v", err, train.ErrStopped)
	}
	r, err := open(t, broken, validated...).Run(t.Context(), experiments.Launch{Resume: train.Resume{Allowed: true}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Resumed != 3 || r.Step != 6 {
		t.Errorf("went on after step %d to step %d, want 3 and 6", r.Resumed, r.Step)
	}
	sameWeights(t, filepath.Join(broken, "checkpoint-6"), filepath.Join(whole, "checkpoint-6"))
}

// Other crops or pairs are another run.
func TestResumeWithOtherDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(t, dir).Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	e := open(t, dir, "data.crop=32", "data.max-pairs=4", "train.steps=8")
	_, err := e.Run(t.Context(), experiments.Launch{Resume: train.Resume{Allowed: true}})
	if !errors.Is(err, train.ErrChanged) {
		t.Fatalf("error %v, want %v", err, train.ErrChanged)
	}
	for _, want := range []string{
		"data.crop: 64 in the checkpoint, 32 now", "pairs: 6",
		"steps: 6 in the checkpoint, 8 now",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
	if _, err := e.Run(t.Context(), experiments.Launch{
		Resume: train.Resume{Allowed: true, AcceptChanges: true},
	}); err != nil {
		t.Errorf("with leave: %v", err)
	}
}

// What is validated is the network of that moment: its panels are those of the exported model, translated by the
// shipped sampler.
func TestValidationTranslatesAsTheExportDoes(t *testing.T) {
	run, out := t.TempDir(), filepath.Join(t.TempDir(), "model")
	scores := map[string]float64{}
	e := open(t, run, "train.validate-every=6")
	_, err := e.Run(t.Context(), experiments.Launch{Observe: progress.On(func(s train.Scores) error {
		for _, x := range s.Values {
			scores[x.Name] = x.Value
		}
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"validation/loss", "validation/loss_ema", "validation/ssim", "validation/psnr"} {
		if x, ok := scores[name]; !ok || x == 0 {
			t.Errorf("%s is %g", name, x)
		}
	}
	panels := panelsOf(t, run, 6)
	panelsOf(t, run, 0) // before the first step, too
	panel, err := imagefile.Read(panels[0], imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}

	d, err := catalog.Open(e.Config.Run.Device, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	o := experiments.ExportOptions{Checkpoint: run, Device: d, ExportOptions: train.ExportOptions{EMA: true}}
	if err := experiments.Export(t.Context(), out, o); err != nil {
		t.Fatal(err)
	}
	m, err := model.Open(out, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p := infer.New(m, infer.Options{Device: d, LowMemory: true})
	defer p.Close()
	he := imagefile.New(64, 64)
	for y := range 64 {
		copy(he.Pix[y*64*3:(y+1)*64*3], panel.Pix[y*panel.Width*3:])
	}
	c, _ := load(t, run)
	sampler, err := c.Sampler(m.Purpose)
	if err != nil {
		t.Fatal(err)
	}
	results, err := p.Translate(t.Context(), infer.Request{Images: []*imagefile.Image{he}, Settings: sampler})
	if err != nil {
		t.Fatal(err)
	}
	if want := infer.Panel(he, results[0].Image).Pix; len(want)/64 > panel.Width*3 || !rowsBegin(panel, want, 64) {
		t.Error("the panel of the validation is not what the exported model makes")
	}
}

// panelsOf is the only panel of a step's validation.
func panelsOf(t *testing.T, run string, step int) []string {
	t.Helper()
	panels, err := filepath.Glob(filepath.Join(run, "validation", fmt.Sprintf("step-%d", step), "*.png"))
	if err != nil || len(panels) != 1 {
		t.Fatalf("panels of step %d: %v, %v", step, panels, err)
	}
	return panels
}

// rowsBegin reports whether the rows of an image begin with those of another.
func rowsBegin(m *imagefile.Image, pix []uint8, rows int) bool {
	n := len(pix) / rows
	for y := range rows {
		if string(m.Pix[y*m.Width*3:y*m.Width*3+n]) != string(pix[y*n:(y+1)*n]) {
			return false
		}
	}
	return true
}

// A U-Net for one step: validation of its loss, an export with the base's U-Net and the trained one, which a second run
// goes on from and replaces.
func TestEndToEnd(t *testing.T) {
	losses := map[string]float64{}
	run := func(run, out string, set ...string) {
		t.Helper()
		e := open(t, run, append(set, "train.objective=end-to-end", "train.texture-weight=1", "train.steps=2",
			"train.validate-every=2", "validation.at-start=false")...)
		if _, err := e.Run(t.Context(), experiments.Launch{Observe: progress.On(func(s train.Scores) error {
			for _, x := range s.Values {
				losses[x.Name] = x.Value
			}
			return nil
		})}); err != nil {
			t.Fatal(err)
		}
		o := experiments.ExportOptions{Checkpoint: run, ExportOptions: train.ExportOptions{EMA: true}}
		if err := experiments.Export(t.Context(), out, o); err != nil {
			t.Fatal(err)
		}
	}
	runs := []string{t.TempDir(), t.TempDir()}
	models := []string{filepath.Join(t.TempDir(), "model"), filepath.Join(t.TempDir(), "model")}
	run(runs[0], models[0])
	if !(losses["validation/loss"] > 0 && losses["validation/loss_ema"] > 0) {
		t.Errorf("losses %v", losses)
	}
	run(runs[1], models[1], "model.unet=unet-fast", "model.base="+models[0])
	for i, out := range models {
		m, err := model.Open(out, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		fast, err := m.Purpose.Preset(model.PresetFast)
		if err != nil || fast.UNet != "unet-fast" || fast.Calls() != 1 || fast.StepsInversion != 0 {
			t.Errorf("preset %+v, %v", fast, err)
		}
		for folder, from := range map[string]string{
			"unet": golden.Path(t, "tiny/unet"), "unet-fast": filepath.Join(runs[i], "checkpoint-2", "unet_ema"),
		} {
			if diff := cmp.Diff(tensors(t, from), tensors(t, filepath.Join(out, folder))); diff != "" {
				t.Errorf("%s is not that of %s", folder, from)
			}
		}
	}
	before, after := tensors(t, filepath.Join(models[0], "unet-fast")), tensors(t, filepath.Join(models[1], "unet-fast"))
	if cmp.Diff(before, after) == "" {
		t.Error("the U-Net for one step did not change")
	}
}

// tensors reads the weights of a folder.
func tensors(t *testing.T, folder string) map[string][]float32 {
	t.Helper()
	s, err := weights.Open(folder, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	values := map[string][]float32{}
	for _, info := range s.Tensors() {
		if values[info.Name], _, err = s.Float32(info.Name); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

// A decoder is trained alone with its texture, for which the smallest graph of an autoencoder of factor 4 has too few
// pixels.
func TestDecoderOnly(t *testing.T) {
	run, out := t.TempDir(), filepath.Join(t.TempDir(), "model")
	e := open(t, run, "train.objective=autoencoder", "train.decoder-only=true", "train.texture-weight=1", "train.steps=1",
		"model.base=demo", "model.phikon=")
	if _, err := e.Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	o := experiments.ExportOptions{Checkpoint: run, ExportOptions: train.ExportOptions{EMA: true}}
	if err := experiments.Export(t.Context(), out, o); err != nil {
		t.Fatal(err)
	}
	base, made := tensors(t, filepath.Join(run, "base", "vae")), tensors(t, filepath.Join(out, "vae"))
	for name, want := range base {
		if !vae.IsDecoder(name) && !slices.Equal(made[name], want) {
			t.Errorf("%s changed", name)
		}
	}
}

// An autoencoder's run: validation by its loss and by its reconstructions, an export with latents of the scale that
// diffusion wants.
func TestAutoencoder(t *testing.T) {
	run, out := t.TempDir(), filepath.Join(t.TempDir(), "model")
	scores := map[string]float64{}
	var steps []int
	e := open(t, run, "train.objective=autoencoder", "train.validate-every=6", "validation.at-start=false")
	_, err := e.Run(t.Context(), experiments.Launch{Observe: progress.On(func(s train.Scores) error {
		steps = append(steps, s.Step)
		for _, x := range s.Values {
			scores[x.Name] = x.Value
		}
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{6}, steps); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"validation/loss", "validation/loss_ema", "validation/psnr"} {
		if x := scores[name]; !(x > 0) {
			t.Errorf("%s is %g", name, x)
		}
	}
	panel, err := imagefile.Read(panelsOf(t, run, 6)[0], imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if panel.Width < 4*64 || panel.Height != 64 {
		t.Errorf("panel of %d×%d: want H&E and IHC of 64 pixels, each with what it is made into", panel.Width, panel.Height)
	}
	d, err := catalog.Open("auto", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := experiments.Export(t.Context(), out, experiments.ExportOptions{Checkpoint: run, Device: d}); err != nil {
		t.Fatal(err)
	}
	m, err := model.Open(out, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// A text-to-image U-Net is widened on the way, and a folder of configurations becomes a new model.
func TestBaseIsMadeFit(t *testing.T) {
	e := open(t, t.TempDir(), "model.base="+likeTiny(t), "model.phikon=")
	if _, err := e.Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}

	// The model in the binary needs nothing next to it.
	e = open(t, t.TempDir(), "model.base=demo", "model.phikon=", "train.steps=2")
	if _, err := e.Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}

	like := likeTiny(t)
	config := filepath.Join(like, "unet", "config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	keys["in_channels"] = keys["out_channels"]
	if text, err = json.Marshal(keys); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	narrow := filepath.Join(t.TempDir(), "narrow")
	if err := model.Create(t.Context(), like, narrow, model.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	e = open(t, t.TempDir(), "model.base="+narrow, "model.phikon=")
	if !slices.ContainsFunc(e.Notes, func(s string) bool { return strings.Contains(s, "is widened from") }) {
		t.Errorf("notes %q", e.Notes)
	}
	if _, err := e.Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
}

// likeTiny is a folder with the configurations of the reference data's tiny model.
func likeTiny(t *testing.T) string {
	like := t.TempDir()
	for part, from := range map[string]string{
		"unet": "tiny/unet", "vae": "tiny/vae", "text_encoder": "tiny/text_encoder",
		"phikon": "tiny-phikon",
	} {
		text, err := os.ReadFile(filepath.Join(golden.Path(t, from), "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(like, part), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(like, part, "config.json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return like
}

// Pairs that can't be used are told before anything is loaded.
func TestOpenNamesWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		set  []string
		want string
	}{
		"no data":   {[]string{"data.dir=nowhere"}, "nowhere"},
		"no split":  {[]string{"data.split=test"}, `data.split is "test"`},
		"crop":      {[]string{"data.crop=128"}, "64×64"},
		"no model":  {[]string{"model.base=nowhere"}, "model.base"},
		"the batch": {[]string{"data.batch=7"}, "data.batch is 7: there are 6 pairs to learn from, want as many or fewer"},
		"updates": {
			[]string{"data.batch=4", "train.accumulate=3"},
			"train.accumulate is 3: an epoch has 2 micro-steps of 4 pairs, want as many or fewer",
		},
		"the device": {[]string{"run.device=tpu"}, "run.device"},
	} {
		t.Run(name, func(t *testing.T) {
			c, values := load(t, t.TempDir(), test.set...)
			e, err := experiments.Open(t.Context(), c, values)
			if err == nil {
				err = errors.Join(errors.New("no error"), e.Close())
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error does not say %q:\n%v", test.want, err)
			}
		})
	}
}

// sameWeights compares the U-Nets of two checkpoints, byte for byte.
func sameWeights(t *testing.T, got, want string) {
	t.Helper()
	for _, name := range []string{"unet", "unet_ema"} {
		const file = "diffusion_pytorch_model.safetensors"
		a, errA := os.ReadFile(filepath.Join(got, name, file))
		b, errB := os.ReadFile(filepath.Join(want, name, file))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Errorf("%s differs", name)
		}
	}
}
