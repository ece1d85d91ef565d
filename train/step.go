package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
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
	precision  vm.Precision
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
	precision, err := vm.ParsePrecision(c.Precision)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	t := &Trainer{
		config: c, options: o, precision: precision, micro: map[size]*microStep{}, losses: map[evaluation]*microStep{},
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

// update is the program of an optimisation step.
type update struct {
	*vm.Program
	hyper, scale *gorgonia.Node
	weight       *gorgonia.Node // 1 − decay of the moving average; nil without one
}

func (t *Trainer) compileUpdate() error {
	s := op.NewScope("update")
	adamw := graph.NewAdamW(s)
	adamw.Scale = s.Input("scale", 1)
	u := &update{hyper: adamw.Hyper, scale: adamw.Scale}
	leaves := map[Slot]gorgonia.Nodes{}
	slots := []Slot{Parameters, Gradients}
	if t.config.EMA {
		u.weight = s.Input("weight", 1)
		slots = append(slots, Averages)
	}
	for _, slot := range slots {
		for _, a := range t.state.arrays {
			leaves[slot] = append(leaves[slot], s.Sub(string(slot)).Input(a.name, a.shape...))
		}
		if err := s.Err(); err != nil {
			return err
		}
		if err := t.state.bind(leaves[slot], slot); err != nil {
			return err
		}
	}
	sums := leaves[Gradients]
	var outputs gorgonia.Nodes
	for i, p := range leaves[Parameters] {
		p = adamw.Update(p, sums[i])
		outputs = append(outputs, p)
		if t.config.EMA {
			outputs = append(outputs, op.MovingAverage{}.Apply(s, leaves[Averages][i], p, u.weight))
		}
	}
	norm := op.GlobalNorm{}.Apply(s, sums...)
	if err := s.Err(); err != nil {
		return err
	}
	if err := errors.Join(t.state.bind(adamw.ExpAvg, ExpAvg), t.state.bind(adamw.ExpAvgSq, ExpAvgSq)); err != nil {
		return err
	}
	o := vm.Options{Device: t.options.Device, Vary: sums, MemoryLimit: t.limit(), Profile: t.options.Profile}
	var err error
	if t.norm, err = vm.Compile(gorgonia.Nodes{norm}, o); err != nil {
		return err
	}
	u.Program, err = vm.Compile(outputs, o)
	t.update = u
	return err
}

// microStep is the program of a micro-step for examples of one size.
type microStep struct {
	*vm.Program
	loss    *lossGraph
	keep    *gorgonia.Node
	outputs gorgonia.Nodes // the graph's values, the sums of gradients
	flop    int64
}

// stepFor returns the program for a size, compiled when it is first asked for.
func (t *Trainer) stepFor(z size) (*microStep, error) {
	if m, ok := t.micro[z]; ok {
		return m, nil
	}
	l, err := t.build(z, t.share(), Parameters)
	if err != nil {
		return nil, err
	}
	s, params := l.scope, l.scope.Params()
	grads, err := graph.Gradients(l.values[0], params...)
	if err != nil {
		return nil, err
	}
	m := &microStep{loss: l, keep: s.Input("keep", 1), outputs: slices.Clone(l.values)}
	var sums gorgonia.Nodes
	for i, p := range params {
		sum := s.Sub("gradient").Input(p.Name(), p.Shape()...)
		sums = append(sums, sum)
		m.outputs = append(m.outputs, op.Accumulate{}.Apply(s, sum, grads[i], m.keep))
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if err := t.state.bind(sums, Gradients); err != nil {
		return nil, err
	}
	if m.Program, err = t.compile(s, m.outputs, false); err != nil {
		return nil, err
	}
	for _, s := range m.Report().Steps {
		m.flop += s.FLOP
	}
	t.micro[z] = m
	return m, nil
}

// share is what a micro-step's loss counts for in its optimisation step.
func (t *Trainer) share() float64 { return 1 / float64(t.config.Accumulate) }

// build makes the graph of the network and its loss, bound to the parameters or their average.
func (t *Trainer) build(z size, share float64, slot Slot) (*lossGraph, error) {
	l, err := t.objective.lossGraph(z, share)
	if err != nil {
		return nil, err
	}
	return l, t.state.bind(l.scope.Params(), slot)
}

func (t *Trainer) compile(s *op.Scope, outputs gorgonia.Nodes, checkFinite bool) (*vm.Program, error) {
	return vm.Compile(outputs, vm.Options{
		Device: t.options.Device, Precision: t.precision, Recompute: t.config.Recompute, LowMemory: t.config.LowMemory,
		MemoryLimit: t.limit(), Vary: s.Params(), CheckFinite: checkFinite, Profile: t.options.Profile,
	})
}

// Draw draws the random numbers of an example's micro-step.
func (t *Trainer) Draw(g *rng.Torch, e Example) (Draws, error) { return t.objective.draw(g, e) }

// prepare returns the program for an example and what it is fed with.
func (t *Trainer) prepare(e Example, d Draws, program func(size) (*microStep, error)) (*microStep, vm.Feeds, error) {
	z, err := t.objective.size(e, d)
	if err != nil {
		return nil, nil, err
	}
	m, err := program(z)
	if err != nil {
		return nil, nil, err
	}
	feeds, err := m.loss.feed(e, d)
	return m, feeds, err
}

// Accumulate computes the gradients of an example and adds 1/Config.Accumulate of them to those since the last Update. It returns the
// example's loss. An error leaves the sum undefined: Discard it.
func (t *Trainer) Accumulate(ctx context.Context, e Example, d Draws) (loss float64, err error) {
	values, err := t.accumulate(ctx, e, d)
	if err != nil {
		return 0, err
	}
	return values[0], nil
}

// accumulate is Accumulate with all values of the loss graph.
func (t *Trainer) accumulate(ctx context.Context, e Example, d Draws) ([]float64, error) {
	m, feeds, err := t.prepare(e, d, t.stepFor)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	feeds.Set(m.keep, []float32{float32(min(t.pending, 1))})
	out, err := m.Run(ctx, feeds)
	if err != nil {
		return nil, fmt.Errorf("training: %w", err)
	}
	t.pending++
	t.flop += m.flop
	values := make([]float64, len(m.loss.values))
	for i := range values {
		values[i] = float64(out[i].Float32s()[0])
	}
	values[0] /= t.share()
	return values, nil
}

// limit is what a program may take. Memory of the state counts, though the system has not given all of it yet.
func (t *Trainer) limit() int64 {
	if t.options.MemoryLimit > 0 || t.ceiling == 0 {
		return t.options.MemoryLimit
	}
	return max(1, t.ceiling-t.options.Device.Allocated())
}

// Discard forgets the gradients since the last Update.
func (t *Trainer) Discard() {
	for _, each := range t.trainers() {
		each.pending = 0
	}
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

// Updated says what an optimisation step did.
type Updated struct {
	Step         int     // counted from 1
	GradientNorm float64 // before clipping
	LearningRate float64 // of this step
	EMADecay     float64 // 0 without a moving average
}

// ErrNotFinite is the error of a step whose loss or gradients are no numbers. Parameters are as before.
var ErrNotFinite = vm.ErrNotFinite

// Update changes the parameters by the gradients since the last Update: one optimisation step. It is not interrupted halfway.
func (t *Trainer) Update(ctx context.Context) (Updated, error) {
	u := Updated{Step: t.updates + 1, LearningRate: t.config.LearningRate.At(t.updates, t.config.MaxSteps)}
	if t.micros() == 0 {
		return u, errors.New("training: an update without gradients")
	}
	ctx = context.WithoutCancel(ctx)
	err := t.gather()
	t.Discard()
	if err != nil {
		return u, fmt.Errorf("training: %w", err)
	}
	out, err := t.norm.Run(ctx, nil)
	if err != nil {
		return u, fmt.Errorf("training: %w", err)
	}
	u.GradientNorm = float64(out[0].Float32s()[0])
	if !isFinite(u.GradientNorm) {
		return u, fmt.Errorf("training: step %d: the gradients' norm is %g: %w", u.Step, u.GradientNorm, ErrNotFinite)
	}
	if t.config.EMA {
		u.EMADecay = EMADecay(t.config.EMADecay, u.Step)
	}
	if err := t.parallel(func(_ int, each *Trainer) error { return each.apply(ctx, u) }); err != nil {
		t.damaged = true
		return u, fmt.Errorf("training: %w", err)
	}
	t.updates++
	return u, nil
}

// apply changes the parameters of one device.
func (t *Trainer) apply(ctx context.Context, u Updated) error {
	scale := float32(1)
	if t.config.MaxGradNorm > 0 {
		scale = op.ClipScale{Max: t.config.MaxGradNorm}.Factor(float32(u.GradientNorm))
	}
	hyper := op.AdamWConfig(t.config.AdamW).Hyper(u.LearningRate, u.Step)
	feeds := vm.Feeds{t.update.hyper: hyper}.Set(t.update.scale, []float32{scale})
	if t.config.EMA {
		feeds.Set(t.update.weight, []float32{float32(1 - u.EMADecay)})
	}
	_, err := t.update.Run(ctx, feeds)
	return err
}

// Trace runs an example again, looking at every value, and returns an error that names the first that is not finite and what it
// was computed from; nil if there is none. It spoils the gradients since the last Update.
func (t *Trainer) Trace(ctx context.Context, e Example, d Draws) (err error) {
	m, feeds, err := t.prepare(e, d, t.stepFor)
	if err != nil {
		return err
	}
	feeds.Set(m.keep, []float32{0})
	p, err := t.compile(m.loss.scope, m.outputs, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	_, err = p.Run(ctx, feeds)
	return err
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
