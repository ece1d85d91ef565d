package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/progress"
	"github.com/histdist/histdist/train"
)

// tinyConfig is a U-Net of two levels.
const tinyConfig = `{"_class_name": "UNet2DConditionModel", "in_channels": 8, "out_channels": 4, "block_out_channels": [8, 16],
"down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
"layers_per_block": 1, "attention_head_dim": 2, "cross_attention_dim": 8, "norm_num_groups": 4, "sample_size": 8}`

// tinyUNet writes the folder of a tiny network with random weights.
func tinyUNet(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	path := filepath.Join(folder, "config.json")
	if err := os.WriteFile(path, []byte(tinyConfig), 0o644); err != nil {
		return err
	}
	c, err := unet.ReadConfig(path)
	if err != nil {
		return err
	}
	n, err := unet.Build(c, unet.Size{Batch: 1, Height: 1, Width: 1, Tokens: 1})
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 2))
	var tensors []weights.Tensor
	for _, p := range n.Scope.Params() {
		x := make([]float32, op.Size(p.Shape()))
		for i := range x {
			x[i] = float32(r.NormFloat64() / 5)
		}
		t, err := weights.FromValue(p.Name(), tensor.New(tensor.WithShape(p.Shape()...), tensor.WithBacking(x)))
		if err != nil {
			return err
		}
		tensors = append(tensors, t)
	}
	return weights.Save(folder, tensors, weights.SaveOptions{})
}

// noisy are examples that are drawn: the first numbers of a micro-step, as an autoencoder's sample would be.
type noisy struct {
	length int
	spoil  func(at train.Position, e *train.Example) // may be nil
}

func (n noisy) Len() int { return n.length }

// sized are noisy examples with contexts of another width than the tiny network's.
type sized struct {
	noisy
	context int
}

func (s sized) Example(ctx context.Context, at train.Position, task train.Task, g *rng.Torch) (train.Example, error) {
	e, err := s.noisy.Example(ctx, at, task, g)
	for len(e.Context)%s.context != 0 || len(e.Context) < 3*s.context {
		e.Context = append(e.Context, 0.5)
	}
	return e, err
}

func (n noisy) Example(ctx context.Context, at train.Position, task train.Task, g *rng.Torch) (train.Example, error) {
	e := train.Example{Shape: [4]int{1, 4, 4, 4}, Latents: make([]float32, 64)}
	g.Randn(e.Latents)
	r := rand.New(rand.NewPCG(uint64(at.Epoch), uint64(at.Index)))
	normal := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	e.Context = normal(3 * 8)
	if task == train.Translation {
		e.Condition, e.Context = normal(64), normal(5*8)
	}
	if n.spoil != nil {
		n.spoil(at, &e)
	}
	return e, ctx.Err()
}

func tinyRun() train.Config {
	c := train.Default()
	c.Seed, c.MaxSteps, c.Accumulate, c.EMA = 3, 40, 2, true
	c.LearningRate.Base, c.LearningRate.Warmup = 1e-3, 4
	c.CheckpointEvery, c.KeepLast, c.Recompute = 4, 2, false
	return c
}

// setup is a trainer of the tiny network on a device.
func setup(c train.Config, network string) (d device.Device, t *train.Trainer, err error) {
	if d, err = networktest.Fastest(1); err != nil {
		return nil, nil, err
	}
	t, err = setupOn(d, c, network)
	return d, t, err
}

func setupOn(d device.Device, c train.Config, network string) (t *train.Trainer, err error) {
	s := schedule.DefaultConfig()
	if s, err = s.For(c.Prediction); err != nil {
		return nil, err
	}
	noise, err := schedule.New(s)
	if err != nil {
		return nil, err
	}
	return train.New(c, train.Options{Device: d, UNet: network, Schedule: noise})
}

// runTiny trains the tiny network in a folder.
func runTiny(ctx context.Context, c train.Config, network string, o train.RunOptions) (train.Result, error) {
	d, t, err := setup(c, network)
	if err != nil {
		return train.Result{}, err
	}
	if o.Examples == nil {
		o.Examples = noisy{length: 7}
	}
	result, err := train.Run(ctx, t, o)
	return result, errors.Join(err, t.Close(), d.Close())
}

// files reads what a folder holds.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// same compares folders byte by byte.
func same(t *testing.T, got, want string) {
	t.Helper()
	a, b := files(t, got), files(t, want)
	for name, text := range b {
		if a[name] != text {
			t.Errorf("%s is not that of %s", filepath.Join(got, name), want)
		}
	}
	if len(a) != len(b) {
		t.Errorf("%s has %d files, want %d", got, len(a), len(b))
	}
}

func network(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "unet")
	if err := tinyUNet(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	childFolder  = "HISTDIST_TRAIN_TEST_FOLDER"
	childNetwork = "HISTDIST_TRAIN_TEST_NETWORK"
	childLimit   = "HISTDIST_TRAIN_TEST_LIMIT"
	childDeath   = "HISTDIST_TRAIN_TEST_DEATH"
)

// TestChild is a run in a process of its own, for the tests that kill it or take its disk away.
func TestChild(t *testing.T) {
	folder := os.Getenv(childFolder)
	if folder == "" {
		t.Skip("started by other tests")
	}
	c := tinyRun()
	o := train.RunOptions{Folder: folder, Resume: train.Resume{Allowed: true}, Observe: func(event any) (err error) {
		switch e := event.(type) {
		case train.Metrics:
			_, err = fmt.Println("step", e.Step)
		case train.Saved:
			_, err = fmt.Println("saved")
		case train.Unsaved:
			_, err = fmt.Println("unsaved:", e.Reason)
		}
		return err
	}}
	if os.Getenv(childLimit) != "" {
		// No file may grow beyond what is needed for all but the weights, as on a full disk, from the second checkpoint on.
		signal.Ignore(syscall.SIGXFSZ)
		o.Observe = progress.All(o.Observe, progress.On(func(train.Saved) error {
			return unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: unix.RLIM_INFINITY})
		}))
		c.ContinueUnsaved = os.Getenv(childLimit) == "continue"
	}
	if text := os.Getenv(childDeath); text != "" {
		var d death
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		o.Observe = d.observe
	}
	if _, err := runTiny(t.Context(), c, os.Getenv(childNetwork), o); err != nil {
		fmt.Println("error:", err)
		os.Exit(3)
	}
}

func child(t *testing.T, folder, network string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), append(env, childFolder+"="+folder, childNetwork+"="+network)...)
	return cmd
}

// death is where a process kills itself.
type death struct {
	Step  int // after this step, before its checkpoint is written
	Saved int // after this step's checkpoint is complete
}

// observe kills the process where it is to die.
func (d death) observe(event any) error {
	switch e := event.(type) {
	case train.Metrics:
		if e.Step != d.Step {
			return nil
		}
	case train.Saved:
		if filepath.Base(e.Path) != fmt.Sprintf("checkpoint-%d", d.Saved) {
			return nil
		}
	default:
		return nil
	}
	return unix.Kill(os.Getpid(), unix.SIGKILL)
}

// TestKilledRunsEndWithTheSameBytes kills a run again and again and resumes it until it is done.
func TestKilledRunsEndWithTheSameBytes(t *testing.T) {
	net, whole, broken := network(t), t.TempDir(), t.TempDir()
	if _, err := runTiny(t.Context(), tinyRun(), net, train.RunOptions{Folder: whole}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []death{{Step: 1}, {Step: 4}, {Saved: 4}, {Step: 7}, {Step: 5}, {Saved: 12}, {Step: 33}, {Step: 40}} {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		cmd := child(t, broken, net, childDeath+"="+string(text))
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
			t.Fatalf("%+v: not killed: %v\n%s", d, err, out)
		}
	}
	if out, err := child(t, broken, net).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	last := fmt.Sprintf("checkpoint-%d", tinyRun().MaxSteps)
	same(t, filepath.Join(broken, last), filepath.Join(whole, last))
}

// TestTornFoldersGoOn brings a finished run's folder into the states that a run may leave which was killed while it saved a
// checkpoint or removed an old one.
func TestTornFoldersGoOn(t *testing.T) {
	net, whole := network(t), t.TempDir()
	if _, err := runTiny(t.Context(), tinyRun(), net, train.RunOptions{Folder: whole}); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
	}
	rename := func(from, to string) func(dir string) error {
		return func(dir string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	}
	copyOf := func(from, to string) func(dir string) error {
		return func(dir string) error { return os.CopyFS(filepath.Join(dir, to), os.DirFS(filepath.Join(dir, from))) }
	}
	remove := func(name string) func(dir string) error {
		return func(dir string) error { return os.RemoveAll(filepath.Join(dir, name)) }
	}
	cut := func(name string) func(dir string) error {
		return func(dir string) error {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			return os.Truncate(filepath.Join(dir, name), info.Size()/2)
		}
	}
	back := write("latest", "checkpoint-36\n")
	const weights = "unet/diffusion_pytorch_model.safetensors"
	for name, tear := range map[string][]func(dir string) error{
		"nothing of it written":        {remove("checkpoint-40"), write(".checkpoint-40.new", ""), back},
		"half of its weights written":  {rename("checkpoint-40", ".checkpoint-40.new"), cut(".checkpoint-40.new/" + weights), back},
		"half of its files written":    {rename("checkpoint-40", ".checkpoint-40.new"), remove(".checkpoint-40.new/optimizer"), back},
		"complete, not renamed":        {rename("checkpoint-40", ".checkpoint-40.new"), back},
		"renamed, not the latest":      {back},
		"half the name of the latest":  {back, write("latest.new", "check")},
		"the one before it put aside":  {copyOf("checkpoint-40", ".checkpoint-40.new"), rename("checkpoint-40", ".checkpoint-40.old"), back},
		"replaced, not yet removed":    {copyOf("checkpoint-40", ".checkpoint-40.old"), back},
		"an old one is half removed":   {copyOf("checkpoint-36/optimizer", ".checkpoint-32.old/optimizer")},
		"an old one is not yet hidden": {copyOf("checkpoint-36", "checkpoint-32")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			for _, step := range tear {
				if err := step(dir); err != nil {
					t.Fatal(err)
				}
			}
			o := train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}}
			if _, err := runTiny(t.Context(), tinyRun(), net, o); err != nil {
				t.Fatal(err)
			}
			same(t, filepath.Join(dir, "checkpoint-40"), filepath.Join(whole, "checkpoint-40"))
			if left, err := filepath.Glob(filepath.Join(dir, ".checkpoint-*")); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// TestInterruptedRunsEndWithTheSameBytes cancels the context in the middle of steps.
func TestInterruptedRunsEndWithTheSameBytes(t *testing.T) {
	net, whole, broken := network(t), t.TempDir(), t.TempDir()
	if _, err := runTiny(t.Context(), tinyRun(), net, train.RunOptions{Folder: whole}); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		examples := noisy{length: 7, spoil: func(at train.Position, _ *train.Example) {
			if steps++; steps == 6+i { // in an odd number of micro-steps
				cancel()
			}
		}}
		result, err := runTiny(ctx, tinyRun(), net, train.RunOptions{Folder: broken, Examples: examples, Resume: train.Resume{Allowed: true}})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if want := filepath.Join(broken, fmt.Sprintf("checkpoint-%d", result.Step)); result.Step > result.Resumed && result.Checkpoint != want {
			t.Errorf("stopped after step %d with the checkpoint %s, want %s", result.Step, result.Checkpoint, want)
		}
	}
	last := fmt.Sprintf("checkpoint-%d", tinyRun().MaxSteps)
	same(t, filepath.Join(broken, last), filepath.Join(whole, last))
}

func TestCheckpointsKept(t *testing.T) {
	c := tinyRun()
	c.KeepEvery = 16
	dir := t.TempDir()
	if _, err := runTiny(t.Context(), c, network(t), train.RunOptions{Folder: dir}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := []string{".lock", "checkpoint-16", "checkpoint-32", "checkpoint-36", "checkpoint-40", "latest"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "latest")); err != nil || string(text) != "checkpoint-40\n" {
		t.Errorf("latest is %q, %v", text, err)
	}
}

func TestFlippedBytesAreFound(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyRun()
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir}); err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(dir, "checkpoint-40")
	for name, text := range files(t, last) {
		path := filepath.Join(last, name)
		for _, at := range []int{0, len(text) / 2, len(text) - 1} {
			flipped := []byte(text)
			flipped[at] ^= 1
			if err := os.WriteFile(path, flipped, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}})
			if !errors.Is(err, train.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("byte %d of %s flipped: %v", at, name, err)
			}
		}
		if name == "state.json" {
			result, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true, FallBack: true}})
			if err != nil || result.Resumed != 36 || result.Step != 40 {
				t.Errorf("falling back: %+v, %v", result, err)
			}
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResumeNeedsLeaveAndTheSameConfiguration(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyRun()
	c.MaxSteps = 4
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir}); !errors.Is(err, train.ErrExists) {
		t.Errorf("a new run in the folder: %v", err)
	}
	changed := c
	changed.LearningRate.Base, changed.MaxSteps, changed.KeepLast = 2e-3, 6, 1
	_, err := runTiny(t.Context(), changed, net, train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}})
	for _, want := range []string{"lr: 0.001 in the checkpoint, 0.002 now", "steps: 4 in the checkpoint, 6 now"} {
		if !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "keep_last") {
		t.Errorf("keep_last may change: %v", err)
	}
	_, err = runTiny(t.Context(), c, net, train.RunOptions{Folder: dir, Examples: noisy{length: 5}, Resume: train.Resume{Allowed: true}})
	if !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), "7 in the checkpoint, 5 now") {
		t.Errorf("another number of examples: %v", err)
	}
	result, err := runTiny(t.Context(), changed, net, train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true, AcceptChanges: true}})
	if err != nil || result.Resumed != 4 || result.Step != 6 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestOneRunAFolder(t *testing.T) {
	net, dir := network(t), t.TempDir()
	var second error
	o := train.RunOptions{Folder: dir}
	o.Observe = progress.On(func(train.Start) error {
		_, second = runTiny(t.Context(), tinyRun(), net, train.RunOptions{Folder: dir})
		return errors.New("enough")
	})
	if _, err := runTiny(t.Context(), tinyRun(), net, o); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("first run: %v", err)
	}
	if !errors.Is(second, train.ErrLocked) || !strings.Contains(second.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second run: %v", second)
	}
}

// TestFullDisk lets no file grow from the second checkpoint on.
func TestFullDisk(t *testing.T) {
	net := network(t)
	for _, test := range []struct {
		limit, want string
		fails       bool
	}{{"stop", "error: training: save ", true}, {"continue", "unsaved: save ", true}} {
		dir := t.TempDir()
		out, err := child(t, dir, net, childLimit+"="+test.limit).CombinedOutput()
		last := "\nthe last good checkpoint is " + filepath.Join(dir, "checkpoint-4") + "\n"
		if (err != nil) != test.fails || !bytes.Contains(out, []byte(test.want)) || !bytes.Contains(out, []byte(last)) {
			t.Errorf("%s: %v\n%s", test.limit, err, out)
		}
		// At the end of a run that goes on, the last checkpoint fails, too, and that is an error.
		if got := bytes.Contains(out, []byte("step 40")); got != (test.limit == "continue") {
			t.Errorf("%s: ran to the end: %t", test.limit, got)
		}
		result, err := runTiny(t.Context(), tinyRun(), net, train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}})
		if err != nil || result.Resumed != 4 {
			t.Errorf("%s: resumed after step %d, want 4: %v", test.limit, result.Resumed, err)
		}
	}
}

func TestNotFinite(t *testing.T) {
	net := network(t)
	spoil := func(at train.Position, e *train.Example) {
		if at == (train.Position{Epoch: 1, Index: 3}) {
			e.Context[0] = float32(math.NaN())
		}
	}
	c := tinyRun()
	dir := t.TempDir()
	o := train.RunOptions{Folder: dir, Examples: noisy{length: 7, spoil: spoil}}
	_, err := runTiny(t.Context(), c, net, o)
	if !errors.Is(err, train.ErrNotFinite) {
		t.Fatal(err)
	}
	for _, want := range []string{"step 6 (epoch 1, micro-step 3, translation)", "unet: ", "attn2", filepath.Join(dir, "checkpoint-4")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q", err, want)
		}
	}
	c.MaxSkipped = 1
	o.Folder = t.TempDir()
	skips := 0
	o.Observe = progress.On(func(train.Skip) error { skips++; return nil })
	result, err := runTiny(t.Context(), c, net, o)
	if err != nil || result.Step != c.MaxSteps || result.Skipped != 1 || skips != 1 {
		t.Errorf("%+v with %d skips: %v", result, skips, err)
	}
	for part, tensor := range map[string]string{"unet": "conv_in.weight"} {
		s, err := weights.Open(filepath.Join(o.Folder, "checkpoint-40", part), weights.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		x, _, err := s.Float32(tensor)
		if err != nil || math.IsNaN(float64(x[0])) {
			t.Errorf("%s is %v, %v", tensor, x[0], err)
		}
	}
}

// Parameters that are no numbers any more are never saved: the last checkpoint is one that can be used.
func TestARunThatDivergedSavesNothing(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.CheckpointEvery = 2, 1
	c.LearningRate.Base, c.LearningRate.Warmup, c.LearningRate.Schedule = 1e60, 0, train.Constant
	dir := t.TempDir()
	_, err := runTiny(t.Context(), c, network(t), train.RunOptions{Folder: dir, Examples: noisy{length: 7}})
	if !errors.Is(err, train.ErrNotFinite) || !strings.Contains(err.Error(), "checkpoint-1") {
		t.Errorf("error %v: want ErrNotFinite of checkpoint-1", err)
	}
	for name := range files(t, dir) {
		if strings.Contains(name, "checkpoint") {
			t.Errorf("left behind: %s", name)
		}
	}
}

// TestRunReports looks at the numbers, the file of them, and the events.
func TestRunReports(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.ValidateEvery = 8, 4
	dir := t.TempDir()
	path := filepath.Join(dir, "metrics.jsonl")
	lines, err := train.OpenJSONLines(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	fixed, err := noisy{length: 1}.Example(t.Context(), train.Position{}, train.Translation, rng.NewTorch(5))
	if err != nil {
		t.Fatal(err)
	}
	var steps, epochs []int
	o := train.RunOptions{Folder: dir, ValidateFirst: true, Validate: train.FixedNoise([]train.Example{fixed}, 1)}
	o.Observe = progress.All(lines.Observe, progress.On(func(m train.Metrics) error {
		steps, epochs = append(steps, m.Step), append(epochs, m.Epoch)
		if !(m.Loss > 0 && m.GradientNorm > 0 && m.ImagesPerSecond > 0 && m.TFLOPS > 0 && m.Memory > 0) || len(m.Losses) == 0 {
			t.Errorf("%+v", m)
		}
		return nil
	}))
	if _, err := runTiny(t.Context(), c, network(t), o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5, 6, 7, 8}, steps); diff != "" {
		t.Error(diff)
	}
	// Seven micro-steps an epoch are four optimisation steps, the last of one micro-step.
	if diff := cmp.Diff([]int{0, 0, 0, 0, 1, 1, 1, 1}, epochs); diff != "" {
		t.Error(diff)
	}
	read := func() (list []map[string]float64) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var l map[string]float64
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			list = append(list, l)
		}
		return list
	}
	all := read()
	if len(all) != 11 || all[0]["step"] != 0 || all[0]["validation/loss"] <= 0 || all[1]["step"] != 1 || all[5]["validation/loss_ema"] <= 0 {
		t.Errorf("%d lines: %v", len(all), all)
	}
	// A crash in a line, and a run that goes on after step 6.
	if err := os.WriteFile(path, append(mustRead(t, path), `{"step":9,"tr`...), 0o644); err != nil {
		t.Fatal(err)
	}
	scores := train.Scores{Step: 7, Values: []train.Scalar{{Name: "x", Value: math.Inf(1)}}}
	if err := errors.Join(lines.Observe(train.Start{Step: 6}), lines.Observe(scores)); err != nil {
		t.Fatal(err)
	}
	text := mustRead(t, path)
	if !bytes.HasSuffix(text, []byte("\n{\"step\":7,\"x\":null}\n")) || bytes.Count(text, []byte("\n")) != 9 {
		t.Errorf("%s", text)
	}
}

// TestRunWithoutACheckpointLeavesNothing: a run that was killed before its first checkpoint and is started again shows every step once.
func TestRunWithoutACheckpointLeavesNothing(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyRun()
	c.MaxSteps = 4
	path := filepath.Join(dir, "metrics.jsonl")
	killed := errors.New("killed")
	for _, stop := range []int{3, 0} {
		sink, err := train.OpenJSONLines(path)
		if err != nil {
			t.Fatal(err)
		}
		o := train.RunOptions{Folder: dir, Observe: progress.All(sink.Observe, progress.On(func(m train.Metrics) error {
			if m.Step == stop {
				return killed
			}
			return nil
		}))}
		if _, err := runTiny(t.Context(), c, net, o); stop == 0 && err != nil || stop > 0 && !errors.Is(err, killed) {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for step := range 4 {
		if n := bytes.Count(mustRead(t, path), fmt.Appendf(nil, `{"step":%d,`, step+1)); n != 1 {
			t.Errorf("step %d is there %d times", step+1, n)
		}
	}
}

// TestResumeWhereThereIsNothing is refused, if it must go on.
func TestResumeWhereThereIsNothing(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyRun()
	c.MaxSteps = 4
	for name, r := range map[string]train.Resume{
		"no checkpoint": {Allowed: true, Required: true}, "no such folder": {From: filepath.Join(dir, "nowhere")}, "no checkpoint's folder": {From: net},
	} {
		if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir, Resume: r}); !errors.Is(err, train.ErrNoCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}}); err != nil {
		t.Fatal(err)
	}
	want := dir + ": no checkpoint to go on from: it is a run, want one of its checkpoints, such as " + filepath.Join(dir, "checkpoint-4")
	if err := (train.Resume{From: dir}).Check(t.TempDir()); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
