package train

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/weights"
)

// ErrChanged is the error of a run that would continue with another configuration or device than it began with.
var ErrChanged = errors.New("this is not how the checkpoint was made")

// ErrExists is the error of a new run in a folder that has checkpoints.
var ErrExists = errors.New("the folder has checkpoints")

// ErrNoCheckpoint is the error of a run that is to resume where there is no checkpoint.
var ErrNoCheckpoint = errors.New("no checkpoint to go on from")

// Resume says how a run continues from a folder's checkpoints.
type Resume struct {
	Allowed  bool   // continue from the latest checkpoint, if any; otherwise a folder with checkpoints is refused
	Required bool   // refuse to start a new run
	From     string // the checkpoint to continue from instead of the latest; it may be another run's
	FallBack bool   // if the latest checkpoint is damaged, continue from the one before
	// AcceptChanges continues with another configuration or device. The bytes then differ from an uninterrupted run's.
	AcceptChanges bool
}

// candidates lists the steps of the checkpoints to continue from, the best first: the one that the file latest names
// and those before it, or all if it names none.
func (f folder) candidates() ([]int, error) {
	steps, err := f.steps()
	if err != nil {
		return nil, err
	}
	slices.Reverse(steps)
	text, err := os.ReadFile(filepath.Join(string(f), latestFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for i, step := range steps {
		if filepath.Base(f.path(step)) == strings.TrimSpace(string(text)) {
			return steps[i:], nil
		}
	}
	return steps, nil
}

// Latest returns the checkpoint that a path means: itself, or of a run's folder the one that the run would resume from.
func Latest(path string) (string, error) {
	if _, err := os.Stat(filepath.Join(path, manifestFile)); !errors.Is(err, os.ErrNotExist) {
		return filepath.Clean(path), err // its parent is the run
	}
	f := folder(path)
	steps, err := f.candidates()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if len(steps) == 0 {
		return "", fmt.Errorf("%s: want the folder of a run or of a checkpoint", path)
	}
	return f.path(steps[0]), nil
}

// Check reports, before anything is opened, whether the folder's checkpoints let a run begin or resume.
func (r Resume) Check(folderPath string) error {
	f := folder(folderPath)
	if r.From != "" {
		if _, err := os.Stat(filepath.Join(r.From, manifestFile)); err == nil || !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if steps, err := folder(r.From).candidates(); err == nil && len(steps) > 0 {
			return fmt.Errorf("%s: %w: it is a run, want one of its checkpoints, such as %s",
				r.From, ErrNoCheckpoint, folder(r.From).path(steps[0]))
		}
		return fmt.Errorf("%s: %w: want the folder of a checkpoint", r.From, ErrNoCheckpoint)
	}
	steps, err := f.candidates()
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	case len(steps) > 0 && !r.Allowed:
		return fmt.Errorf("%s: %w: resume the run, or name another folder", f, ErrExists)
	case len(steps) == 0 && r.Required:
		return fmt.Errorf("%s: %w", f, ErrNoCheckpoint)
	}
	return nil
}

// resume fills the trainer from a checkpoint; nil if there is none. It also returns the accepted changes since.
func (f folder) resume(t *Trainer, o RunOptions) (*checkpoint, []string, error) {
	r := o.Resume
	if err := r.Check(string(f)); err != nil {
		return nil, nil, err
	}
	if r.From != "" {
		if err := verify(r.From); err != nil {
			return nil, nil, err
		}
		return t.restore(r.From, o)
	}
	steps, err := f.candidates()
	if err != nil && !errors.Is(err, os.ErrNotExist) { // the process that writes makes the folder
		return nil, nil, err
	}
	if len(steps) == 0 {
		return nil, nil, nil
	}
	var damaged []error
	for _, step := range steps {
		err := verify(f.path(step))
		if err == nil {
			return t.restore(f.path(step), o)
		}
		damaged = append(damaged, err)
		if !r.FallBack {
			break
		}
	}
	return nil, nil, errors.Join(damaged...)
}

// restore fills the trainer from a verified checkpoint.
func (t *Trainer) restore(path string, o RunOptions) (*checkpoint, []string, error) {
	c, err := readState(path)
	if err != nil {
		return nil, nil, err
	}
	if c.Config.Objective != t.config.Objective {
		return nil, nil, fmt.Errorf("%s: %w: objective: %s in the checkpoint, %s now",
			path, ErrChanged, c.Config.Objective, t.config.Objective)
	}
	if c.Config.Adapter.Kind != t.config.Adapter.Kind {
		return nil, nil, fmt.Errorf("%s: %w: adapter: %q in the checkpoint, %q now",
			path, ErrChanged, c.Config.Adapter.Kind, t.config.Adapter.Kind)
	}
	network, err := os.ReadFile(filepath.Join(path, t.config.folder(), configFile))
	if err != nil {
		return nil, nil, err
	}
	inputs := maps.Clone(o.Inputs)
	maps.DeleteFunc(inputs, func(key, _ string) bool { // unknown to an earlier version
		_, known := c.Inputs[key]
		return !known
	})
	changes := slices.Concat(
		differences(flat("", c.Config), flat("", t.config)), differences(c.Inputs, inputs),
		differences(flat("", c.Machine), flat("", t.options.machine())),
	)
	if !bytes.Equal(network, t.configJSON) {
		was := filepath.Join(path, t.config.folder(), configFile)
		changes = append(changes, fmt.Sprintf("%s of the network: not %s", configFile, was))
	}
	if n := o.Examples.Len(); c.EpochLength != n {
		changes = append(changes, fmt.Sprintf("micro-steps of an epoch: %d in the checkpoint, %d now", c.EpochLength, n))
	}
	ofSource, err := sourceChanges(path, o.Source)
	if err != nil {
		return nil, nil, err
	}
	changes = append(changes, ofSource...)
	if len(changes) > 0 && !o.Resume.AcceptChanges {
		return nil, nil, fmt.Errorf("%s: %w:\n  %s", path, ErrChanged, strings.Join(changes, "\n  "))
	}
	for _, s := range t.config.savedParts() {
		from := s.path
		if s.slot == Averages && !c.Config.EMA { // the average begins now
			from = t.config.savedNetwork(Parameters).path
		}
		for _, each := range t.trainers() {
			if s.slot == Averages && !each.averages() {
				continue
			}
			if err := each.load(filepath.Join(path, from), s.slot); err != nil {
				return nil, nil, err
			}
		}
	}
	t.updates = c.Step
	return &c, changes, nil
}

// load fills a slot from a checkpoint's file or folder.
func (t *Trainer) load(path string, slot Slot) error {
	fixed := map[string]bool{} // an earlier version saved their moments, which are zeros
	for _, a := range t.state.arrays {
		fixed[a.name] = a.fixed
	}
	m := weights.Mapping{Ignore: func(name string) bool { return fixed[name] }}
	if t.config.Adapter.lora() {
		m.Rename = lora.Param
	}
	arrays := t.savedArrays(slot)
	if slot == Averages { // the others are their own
		arrays = t.state.trained()
	}
	return t.state.load(path, "", arrays, slot, m)
}

// sourceChanges compares the source with a checkpoint's. If either is unknown there are no changes.
func sourceChanges(path string, source Source) ([]string, error) {
	record, err := os.ReadFile(filepath.Join(path, sourceFile))
	if errors.Is(err, os.ErrNotExist) || source == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	changes, err := source.Changes(record)
	if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Join(path, sourceFile), err)
	}
	return changes, err
}

// free are the keys that may change when a run resumes: they change no bit of the parameters.
func free() []string {
	return []string{
		"recompute", "checkpoint-every", "keep-last", "keep-every", "continue-unsaved", "validate-every", "max-skipped",
	}
}

// differences lists the values that differ, except those of free keys, one a line.
func differences(before, now map[string]string) []string {
	all := map[string]string{}
	maps.Copy(all, before)
	maps.Copy(all, now)
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if before[k] != now[k] && !slices.Contains(free(), k) {
			a, b := cmp.Or(before[k], "nothing"), cmp.Or(now[k], "nothing")
			lines = append(lines, fmt.Sprintf("%s: %s in the checkpoint, %s now", k, a, b))
		}
	}
	return lines
}

// flat returns a struct's JSON by dotted keys.
func flat(prefix string, v any) map[string]string {
	out := map[string]string{}
	text, err := json.Marshal(v)
	var fields map[string]json.RawMessage
	if err != nil || json.Unmarshal(text, &fields) != nil {
		out[strings.TrimSuffix(prefix, ".")] = string(text)
		return out
	}
	for k, field := range fields {
		maps.Copy(out, flat(prefix+k+".", field))
	}
	return out
}

// generator makes a generator from its saved state.
func generator(state []byte) (*rng.Torch, error) {
	g := rng.NewTorch(0)
	return g, g.SetState(state)
}
