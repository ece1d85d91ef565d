package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/train"
)

const (
	childFolder   = "HISTDIST_TRAIN_TEST_FOLDER"
	childNetwork  = "HISTDIST_TRAIN_TEST_NETWORK"
	childLimit    = "HISTDIST_TRAIN_TEST_LIMIT"
	childDeath    = "HISTDIST_TRAIN_TEST_DEATH"
	childEndToEnd = "HISTDIST_TRAIN_TEST_END_TO_END"
	childAdapter  = "HISTDIST_TRAIN_TEST_ADAPTER"
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
	if os.Getenv(childEndToEnd) != "" {
		c, o.Examples = shortEndToEnd(), colours(t)
	}
	if os.Getenv(childAdapter) != "" {
		c = shortAdapter()
	}
	if os.Getenv(childLimit) != "" {
		// No file may grow beyond what is needed for all but the weights, as on a full disk, from the second checkpoint on.
		o.Observe = progress.All(o.Observe, progress.On(func(train.Saved) error { return limitFiles(4096) }))
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
	return kill()
}

// TestKilledRunsEndWithTheSameBytes kills a run again and again and resumes it until it is done.
func TestKilledRunsEndWithTheSameBytes(t *testing.T) {
	killed(t, tinyRun(), network(t), nil,
		[]death{{Step: 1}, {Step: 4}, {Saved: 4}, {Step: 7}, {Step: 5}, {Saved: 12}, {Step: 33}, {Step: 40}})
}

// TestKilledEndToEndEndsWithTheSameBytes does the same with a U-Net for one step.
func TestKilledEndToEndEndsWithTheSameBytes(t *testing.T) {
	killed(t, shortEndToEnd(), golden.Path(t, "tiny/unet"), colours(t),
		[]death{{Step: 1}, {Saved: 4}, {Step: 7}}, childEndToEnd+"=1")
}

func shortEndToEnd() train.Config {
	c := endToEndRun()
	c.MaxSteps, c.CheckpointEvery = 8, 2
	return c
}

func killed(t *testing.T, c train.Config, net string, examples train.Examples, deaths []death, env ...string) {
	whole, broken := t.TempDir(), t.TempDir()
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: whole, Examples: examples}); err != nil {
		t.Fatal(err)
	}
	for _, d := range deaths {
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		cmd := child(t, broken, net, append(env, childDeath+"="+string(text))...)
		if out, err := cmd.CombinedOutput(); !wasKilled(cmd.ProcessState) {
			t.Fatalf("%+v: not killed: %v\n%s", d, err, out)
		}
	}
	if out, err := child(t, broken, net, env...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	last := fmt.Sprintf("checkpoint-%d", c.MaxSteps)
	same(t, filepath.Join(broken, last), filepath.Join(whole, last))
}

// TestTornFoldersGoOn brings a finished run's folder into the states that a run may leave which was killed while it
// saved a checkpoint or removed an old one.
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
		"nothing of it written": {remove("checkpoint-40"), write(".checkpoint-40.new", ""), back},
		"half of its weights written": {
			rename("checkpoint-40", ".checkpoint-40.new"), cut(".checkpoint-40.new/" + weights),
			back,
		},
		"half of its files written": {
			rename("checkpoint-40", ".checkpoint-40.new"),
			remove(".checkpoint-40.new/optimizer"), back,
		},
		"complete, not renamed":       {rename("checkpoint-40", ".checkpoint-40.new"), back},
		"renamed, not the latest":     {back},
		"half the name of the latest": {back, write("latest.new", "check")},
		"the one before it put aside": {
			copyOf("checkpoint-40", ".checkpoint-40.new"),
			rename("checkpoint-40", ".checkpoint-40.old"), back,
		},
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
		result, err := runTiny(ctx, tinyRun(), net,
			train.RunOptions{Folder: broken, Examples: examples, Resume: train.Resume{Allowed: true}})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if want := filepath.Join(broken, fmt.Sprintf("checkpoint-%d", result.Step)); result.Step > result.Resumed &&
			result.Checkpoint != want {
			t.Errorf("stopped after step %d with the checkpoint %s, want %s", result.Step, result.Checkpoint, want)
		}
	}
	last := fmt.Sprintf("checkpoint-%d", tinyRun().MaxSteps)
	same(t, filepath.Join(broken, last), filepath.Join(whole, last))
}

// TestFullDisk lets no file grow from the second checkpoint on.
func TestFullDisk(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no limit of a process's files")
	}
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
		result, err := runTiny(t.Context(), tinyRun(), net,
			train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}})
		if err != nil || result.Resumed != 4 {
			t.Errorf("%s: resumed after step %d, want 4: %v", test.limit, result.Resumed, err)
		}
	}
}
