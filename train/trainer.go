package train

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
)

// Options say what is trained, and on what.
type Options struct {
	Device device.Device // it stays the caller's
	// Peers are further devices, which share the work with Device, and Group has them all, Device first. They stay the caller's.
	Peers []device.Device
	Group device.Group
	// UNet or VAE, by the configuration's objective, is the folder of the network to begin with: config.json and weights in
	// diffusers' layout.
	UNet, VAE string
	// Variant picks the weights to begin with if the folder has it; see weights.Options.
	Variant string
	// Schedule is the noise of a U-Net's time steps: schedule.New of the model's scheduler_config.json For the prediction type.
	Schedule *schedule.Schedule
	// Profile times the programs' steps one after the other, for Reports. It is slow.
	Profile bool
	// MemoryLimit is the number of bytes that one program may take beside the state; 0 means what the device has available.
	MemoryLimit int64
}

func (o Options) network(objective Objective) string {
	if objective == Autoencoder {
		return o.VAE
	}
	return o.UNet
}

// Trainer holds a network under training: its parameters, their gradients, AdamW's moments and the moving average, once, and the
// programs that work on them. It is used by one goroutine at a time.
//
// There is a program for each size of examples, for a text has 77 tokens and an image 197: forward and backward pass, and the sums
// of gradients, which stay in memory of the state, so that the program's own holds the largest gradient instead of all of them.
// Two small programs, the norm of the sums and the update, follow when a step's micro-steps are done.
type Trainer struct {
	config     Config
	options    Options
	objective  objective
	configJSON []byte // of the network
	state      *state
	micro      map[size]*microStep
	losses     map[evaluation]*microStep // forward passes alone
	norm       *vm.Program
	update     *update
	updates    int   // optimisation steps so far
	pending    int   // micro-steps since the last of them
	flop       int64 // of all micro-steps
	ceiling    int64 // bytes that the device may have allocated; 0 if it is not known
	damaged    bool  // an update failed halfway
	peers      []*Trainer
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
	if t.objective, t.configJSON, err = newObjective(c, o); err != nil {
		return nil, err
	}
	params, err := t.objective.params()
	if err != nil {
		return nil, err
	}
	if t.state, err = newState(o.Device, params, c.EMA); err != nil {
		return nil, err
	}
	if err = t.state.load(o.network(c.Objective), o.Variant, Parameters); err != nil {
		return nil, err
	}
	if c.EMA {
		if err = t.state.copy(Averages, Parameters); err != nil {
			return nil, err
		}
	}
	if err = t.compileUpdate(); err != nil {
		return nil, err
	}
	return t, t.addPeers(c, o)
}

// Close gives all memory back.
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
	if t.state != nil {
		errs = append(errs, t.state.close())
	}
	return errors.Join(errs...)
}

// Step is the number of optimisation steps so far.
func (t *Trainer) Step() int { return t.updates }

// limit is what a program may take. Memory of the state counts, though the system has not given all of it yet.
func (t *Trainer) limit() int64 {
	if t.options.MemoryLimit > 0 || t.ceiling == 0 {
		return t.options.MemoryLimit
	}
	return max(1, t.ceiling-t.options.Device.Allocated())
}

func (t *Trainer) compile(s *op.Scope, outputs gorgonia.Nodes, checkFinite bool) (*vm.Program, error) {
	return vm.Compile(outputs, vm.Options{
		Device: t.options.Device, Precision: t.config.Precision, Recompute: t.config.Recompute, LowMemory: t.config.LowMemory,
		MemoryLimit: t.limit(), Vary: s.Params(), CheckFinite: checkFinite, Profile: t.options.Profile,
	})
}

// Save writes a slot of the state as weights: see weights.Save.
func (t *Trainer) Save(path string, slot Slot) error {
	if t.damaged {
		return errors.New("training: an update failed halfway: the parameters are of no use")
	}
	tensors, err := t.state.tensors(slot)
	if err != nil {
		return err
	}
	return weights.Save(path, tensors, weights.SaveOptions{})
}

// Discard forgets the gradients since the last Update.
func (t *Trainer) Discard() {
	for _, each := range t.trainers() {
		each.pending = 0
	}
}
