package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/internal/atomicfile"
)

// A checkpoint is a folder checkpoint-STEP:
//
//	unet/           the U-Net in diffusers' layout; vae/ of an autoencoder; adapter/ with the file that diffusers reads
//	unet_ema/       the moving average, if there is one; vae_ema/, adapter_ema/
//	optimizer/      AdamW's moments, exp_avg.safetensors and exp_avg_sq.safetensors, under the parameters' names
//	source.csv      what the examples were made of, if known: see Source
//	state.json      everything else: see checkpoint
//	manifest.json   size and SHA-256 of every other file
//
// It is written under a hidden name and renamed, so that it appears whole or not at all. The file latest names the last
// one.
const (
	visiblePrefix = "checkpoint-"
	hiddenPrefix  = ".checkpoint-" // being written or removed
	latestFile    = "latest"
	stateFile     = "state.json"
	sourceFile    = "source.csv"
	averageSuffix = "_ema"
	configFile    = "config.json"
)

// checkpoint is the text of state.json.
type checkpoint struct {
	Format       int        `json:"format"`
	Program      string     `json:"program"` // its version
	Machine      machine    `json:"machine"`
	Step         int        `json:"step"`
	Position     Position   `json:"position"`     // of the next micro-step
	EpochLength  int        `json:"epoch_length"` // micro-steps
	Skipped      int        `json:"skipped"`
	LearningRate float64    `json:"learning_rate"` // of the next step
	Generators   generators `json:"generators"`
	Config       Config     `json:"config"`
	// Inputs are RunOptions.Inputs.
	Inputs map[string]string `json:"inputs,omitempty"`
}

// machine is what a run's bytes depend on in addition to its configuration, since the order of sums differs between
// machines.
type machine struct {
	Device         string `json:"device"`            // without the number of a GPU
	Devices        int    `json:"devices,omitempty"` // that share the work, if several, in all processes
	Threads        int    `json:"threads"`           // 0 if the device has none
	InstructionSet string `json:"instruction-set"`   // "" if the device has none; a GPU's model, driver and libraries
}

func (o Options) machine() machine {
	d := o.Device
	kind, _, _ := strings.Cut(d.Name(), ":")
	m := machine{Device: kind}
	if n := o.size(); n > 1 {
		m.Devices = n
	}
	if d, ok := d.(device.Threader); ok {
		m.Threads = d.Threads()
	}
	if d, ok := d.(device.Describer); ok {
		m.InstructionSet = d.Fingerprint()
	}
	return m
}

// generators are the states of the random number generators, in PyTorch's layout.
type generators struct {
	Noise []byte `json:"noise"`
	Tasks []byte `json:"tasks"`
}

const checkpointFormat = 1

// readState reads the state of a checkpoint. Keys that an earlier version didn't know mean what it did.
func readState(dir string) (checkpoint, error) {
	c := checkpoint{Config: Default()}
	path := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if c.Format != checkpointFormat {
		return c, fmt.Errorf("%s: format %d: this program reads %d", dir, c.Format, checkpointFormat)
	}
	return c, nil
}

// saved is a slot with its place in a checkpoint.
type saved struct {
	slot   Slot
	folder string // of a network, with its configuration; "" of other files
	path   string // of the weights: a file, or the folder
}

// savedParts lists what a checkpoint holds.
func (c Config) savedParts() []saved {
	list := []saved{
		c.savedNetwork(Parameters),
		{ExpAvg, "", filepath.Join("optimizer", "exp_avg.safetensors")},
		{ExpAvgSq, "", filepath.Join("optimizer", "exp_avg_sq.safetensors")},
	}
	if c.EMA {
		list = append(list, c.savedNetwork(Averages))
	}
	return list
}

// savedNetwork is where the parameters of what is trained, or their average, are.
func (c Config) savedNetwork(slot Slot) saved {
	folder := c.folder()
	if slot == Averages {
		folder += averageSuffix
	}
	if c.Adapter.lora() {
		return saved{slot, folder, filepath.Join(folder, lora.FileName)}
	}
	return saved{slot, folder, folder}
}

// folder is an output folder with its checkpoints.
type folder string

func (f folder) path(step int) string {
	return filepath.Join(string(f), visiblePrefix+strconv.Itoa(step))
}

// retired is where a checkpoint is removed.
func (f folder) retired(step int) string {
	return filepath.Join(string(f), hiddenPrefix+strconv.Itoa(step)+".old")
}

// steps lists the checkpoints, the oldest first.
func (f folder) steps() ([]int, error) {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil, err
	}
	var steps []int
	for _, e := range entries {
		if text, ok := strings.CutPrefix(e.Name(), visiblePrefix); ok && e.IsDir() {
			if step, err := strconv.Atoi(text); err == nil && step >= 0 {
				steps = append(steps, step)
			}
		}
	}
	slices.Sort(steps)
	return steps, nil
}

// save writes a checkpoint of the trainer and makes it the latest. What is in the folder stays valid if it fails.
func (f folder) save(t *Trainer, c checkpoint, source Source) (path string, err error) {
	to := f.path(c.Step)
	hidden := filepath.Join(string(f), hiddenPrefix+strconv.Itoa(c.Step)+".new")
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save %s: %w", to, err), os.RemoveAll(hidden))
		}
	}()
	if err := fillCheckpoint(hidden, t, c, source); err != nil {
		return "", err
	}
	if err := f.replace(c.Step, hidden); err != nil {
		return "", err
	}
	latest := filepath.Join(string(f), latestFile)
	if err := writeFile(latest+".new", []byte(filepath.Base(to)+"\n")); err != nil {
		return "", err
	}
	if err := atomicfile.Rename(latest+".new", latest); err != nil {
		return "", err
	}
	return to, atomicfile.SyncFolder(string(f))
}

func fillCheckpoint(dir string, t *Trainer, c checkpoint, source Source) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "optimizer"), 0o755); err != nil {
		return err
	}
	for _, s := range t.config.savedParts() {
		path := filepath.Join(dir, s.path)
		if err := t.Save(path, s.slot); err != nil {
			return err
		}
		if s.folder != "" {
			if err := writeFile(filepath.Join(dir, s.folder, configFile), t.configJSON); err != nil {
				return err
			}
		}
	}
	if source != nil {
		if err := writeFile(filepath.Join(dir, sourceFile), source.Record()); err != nil {
			return err
		}
	}
	if err := writeJSON(filepath.Join(dir, stateFile), c); err != nil {
		return err
	}
	if err := writeManifest(dir); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = atomicfile.SyncFolder(path)
		}
		return err
	})
}

// replace gives a finished checkpoint its name. It removes one of that name, left from before the run was resumed at an
// earlier step.
func (f folder) replace(step int, hidden string) error {
	path, old := f.path(step), f.retired(step)
	if err := atomicfile.Rename(path, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := atomicfile.Rename(hidden, path); err != nil {
		return err
	}
	if err := atomicfile.SyncFolder(string(f)); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

// prune removes the checkpoints up to a step that a configuration does not keep. Later ones are from before the run was
// resumed at an earlier step and will be replaced.
func (f folder) prune(c Config, step int) error {
	steps, err := f.steps()
	if err != nil || c.KeepLast == 0 {
		return err
	}
	steps = slices.DeleteFunc(steps, func(s int) bool { return s > step })
	for _, step := range steps[:max(0, len(steps)-c.KeepLast)] {
		if c.KeepEvery > 0 && step%c.KeepEvery == 0 {
			continue
		}
		// A half-removed checkpoint must not look like one.
		old := f.retired(step)
		if err := atomicfile.Rename(f.path(step), old); err != nil {
			return err
		}
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	return nil
}

// clean removes what a killed run left unfinished.
func (f folder) clean() error {
	left, err := filepath.Glob(filepath.Join(string(f), hiddenPrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range left {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}
