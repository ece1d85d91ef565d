package train

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
)

// Options say what is trained, and on what.
type Options struct {
	Device device.Device // it stays the caller's
	// Peers are further devices of this process that share the work with Device. Group has Device and then the peers, and
	// may have devices of other processes. They stay the caller's.
	Peers []device.Device
	Group device.Group
	// UNet or VAE, by the objective, is the folder of the network to begin with, in diffusers' layout. The objective
	// EndToEnd needs both.
	UNet, VAE string
	// Variant of the weights to begin with, if the folder has it; see weights.Options.
	Variant string
	// Base is the fingerprint of that network, for adapters: see model.UNetFingerprint.
	Base string
	// Schedule is the noise of a U-Net's time steps, built by schedule.New from the model's configuration adapted with
	// For.
	Schedule *schedule.Schedule
	// Profile times the programs' steps one by one, for Reports. It is slow.
	Profile bool
	// MemoryLimit, in bytes, is for one program in addition to the state; 0 means what the device has available.
	MemoryLimit int64

	peer int // the place of a peer after the first device of its process
}

func (o Options) network(objective Objective) string {
	if objective == Autoencoder {
		return o.VAE
	}
	return o.UNet
}

// Trainer is a network under training: parameters, gradients, AdamW's moments and the moving average, and the programs
// that share this memory. It is used by one goroutine at a time.
//
// Each size of examples has a program, as a text has 77 tokens and an image 197: forward and backward pass, and the
// sums of gradients in the state's memory, so that the program's own holds one gradient at a time. Two small programs,
// for the gradients' norm and the update, end a step.
type Trainer struct {
	config      Config
	options     Options
	objective   objective
	configJSON  []byte // of the network
	state       *state
	micro       map[size]*microStep
	losses      map[evaluation]*microStep // forward passes alone
	norm        *vm.Program
	update      *update
	updates     int      // optimisation steps so far
	pending     int      // micro-steps since the last of them
	buckets     [][]int  // of trained parameters, by their places: see gather.go
	summed      int      // buckets of those micro-steps' gradients that the sum over the devices has
	flop        int64    // of all micro-steps
	ceiling     int64    // bytes that the device may have allocated; 0 if unknown
	damaged     bool     // an update failed halfway
	average     *average // of sharded parameters
	uncollected []Slot   // moments that all processes have still to collect for a checkpoint
	owners      []int    // the number of the device that updates each parameter; nil where all update all
	peers       []*Trainer
	numbers     *device.Value // where the group has devices of other processes: for outcomes
}

// New allocates the state and fills it with the weights to begin with.
func New(c Config, o Options) (_ *Trainer, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if o.Device == nil {
		return nil, errors.New("training: no device: set Options.Device")
	}
	t := &Trainer{
		config: c, options: o, micro: map[size]*microStep{}, losses: map[evaluation]*microStep{},
	}
	if available := o.Device.Available(); available > 0 {
		t.ceiling = o.Device.Allocated() + available
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("training: %w", err), t.Close())
		}
	}()
	if t.objective, t.configJSON, err = newObjective(t); err != nil {
		return nil, err
	}
	params, err := t.objective.params()
	if err != nil {
		return nil, err
	}
	t.owners = t.shareOut(params)
	if t.state, err = newState(o.Device, params, t.objective.trains, t.slots, c.Adapter.stored()); err != nil {
		return nil, err
	}
	t.makeBuckets()
	from := o.network(c.Objective)
	if err = t.state.load(from, o.Variant, t.base(), Parameters, weights.Mapping{}); err != nil {
		return nil, err
	}
	if err = t.beginAdapter(params); err != nil {
		return nil, err
	}
	if t.averages() {
		if err = t.state.copy(Averages, Parameters); err != nil {
			return nil, err
		}
	}
	if err = t.compileUpdate(); err != nil {
		return nil, err
	}
	return t, t.addPeers(c, o)
}

// slots are those of a trained parameter: moments on the device alone that owns it.
func (t *Trainer) slots(i int) []Slot {
	list := []Slot{Parameters, Gradients}
	if t.owns(i) {
		list = append(list, ExpAvg, ExpAvgSq)
	}
	if t.averages() {
		list = append(list, Averages)
	}
	return list
}

// Close frees all memory.
func (t *Trainer) Close() error {
	var errs []error
	for _, p := range t.peers {
		errs = append(errs, p.Close())
	}
	for _, m := range t.micro {
		errs = append(errs, m.Close())
	}
	for _, m := range t.losses {
		errs = append(errs, m.Close())
	}
	if t.norm != nil {
		errs = append(errs, t.norm.Close())
	}
	if t.update != nil {
		errs = append(errs, t.update.Close())
	}
	if t.average != nil {
		errs = append(errs, t.average.Close())
	}
	if g, ok := t.objective.(guiding); ok {
		for _, p := range g.programs() {
			errs = append(errs, p.Close())
		}
	}
	if h, ok := t.objective.(holding); ok {
		errs = append(errs, h.close())
	}
	if t.state != nil {
		errs = append(errs, t.state.close())
	}
	if t.numbers != nil {
		errs = append(errs, t.numbers.Close())
	}
	return errors.Join(errs...)
}

// Step is the number of optimisation steps so far.
func (t *Trainer) Step() int { return t.updates }

// limit is the memory for one program. All of the state counts as allocated, though the system may not have provided it
// yet.
func (t *Trainer) limit() int64 {
	if t.options.MemoryLimit > 0 || t.ceiling == 0 {
		return t.options.MemoryLimit
	}
	return max(1, t.ceiling-t.options.Device.Allocated())
}

func (t *Trainer) compile(
	vary, outputs gorgonia.Nodes, milestones []gorgonia.Nodes, checkFinite bool,
) (*vm.Program, error) {
	return vm.Compile(outputs, vm.Options{
		Device: t.options.Device, Precision: t.config.Precision, Recompute: t.config.Recompute, LowMemory: t.config.LowMemory,
		MemoryLimit: t.limit(), Vary: vary, Milestones: milestones, CheckFinite: checkFinite, Profile: t.options.Profile,
	})
}

// guideOptions say how programs are compiled that only make targets.
func (t *Trainer) guideOptions() vm.Options {
	return vm.Options{
		Device: t.options.Device, Precision: t.config.Precision, LowMemory: t.config.LowMemory, MemoryLimit: t.limit(),
		Profile: t.options.Profile,
	}
}

// Save writes a slot of the state as weights: see weights.Save. Of an adapter's parameters and averages it writes the
// file that diffusers reads: see lora.Save.
func (t *Trainer) Save(path string, slot Slot) error {
	if t.damaged {
		return errors.New("training: an update failed halfway: the parameters are damaged")
	}
	from := slot
	if t.owners != nil && (slot == ExpAvg || slot == ExpAvgSq) {
		if err := t.collect(slot); err != nil {
			return err
		}
		from = Gradients
	}
	name := func(param string) string { return param }
	adapter := t.config.Adapter.lora() && (slot == Parameters || slot == Averages)
	if adapter {
		name = lora.Name
	}
	list, err := tensors(t.savedArrays(slot), from, name)
	if err != nil {
		return err
	}
	if adapter {
		return lora.Save(path, list, lora.SaveOptions{LowRank: t.LowRank(), Base: t.options.Base})
	}
	return weights.Save(path, list, weights.SaveOptions{})
}

// savedArrays are the parameters that are saved of a slot: whole networks, but of what training alone needs, and of
// adapters, only what is trained.
func (t *Trainer) savedArrays(slot Slot) []*array {
	if t.config.Adapter.lora() || slot != Parameters && slot != Averages {
		return t.state.trained()
	}
	return t.state.arrays
}

// Discard drops the gradients since the last Update.
func (t *Trainer) Discard() {
	for _, each := range t.trainers() {
		each.pending, each.summed = 0, 0
	}
}
