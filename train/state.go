package train

import (
	"errors"
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
)

// Slot is one of the values that a Trainer keeps for every parameter.
type Slot string

// The slots.
const (
	Parameters Slot = "parameters"
	Gradients  Slot = "gradients"  // of the micro-steps since the last update
	ExpAvg     Slot = "exp_avg"    // AdamW's first moments
	ExpAvgSq   Slot = "exp_avg_sq" // AdamW's second moments
	Averages   Slot = "ema"        // where the configuration has a moving average
)

// array is a parameter with its slots, all of one shape.
type array struct {
	name  string
	shape tensor.Shape
	dtype device.DType // of all slots
	slots map[Slot]*device.Value
	fixed bool // it is not trained, and has no other slots
}

// in returns the value of a slot; a parameter that is not trained is its own average. It is nil if there is none.
func (a *array) in(slot Slot) *device.Value {
	if a.fixed && slot == Averages {
		slot = Parameters
	}
	return a.slots[slot]
}

// state is the memory of a run on the device, shared by all its programs.
type state struct {
	device device.Device
	arrays []*array
}

// newState allocates zeroed memory for a network's parameters: for the trained ones the slots that slotsOf gives, else
// the parameters alone, matrices of them in the type fixed.
func newState(
	d device.Device, params gorgonia.Nodes, trains func(name string) bool, slotsOf func(i int) []Slot, fixed device.DType,
) (*state, error) {
	s := &state{device: d}
	need := int64(0)
	slots := make([][]Slot, len(params))
	for i, node := range params {
		a := &array{name: node.Name(), shape: node.Shape().Clone(), slots: map[Slot]*device.Value{}}
		a.fixed = !trains(a.name)
		slots[i] = slotsOf(i)
		if a.fixed {
			slots[i] = []Slot{Parameters}
		}
		if a.fixed && a.shape.Dims() > 1 { // norms and biases are small
			a.dtype = fixed
		}
		s.arrays = append(s.arrays, a)
		need += a.dtype.Size() * int64(op.Size(a.shape)*len(slots[i]))
	}
	if available := d.Available(); available > 0 && need > available {
		return nil, fmt.Errorf("%w on %s: parameters, gradients and moments take %.1f GiB, %.1f GiB may be used",
			vm.ErrMemory, d.Name(), float64(need)/(1<<30), float64(available)/(1<<30))
	}
	for i, a := range s.arrays {
		for _, slot := range slots[i] {
			v, err := device.NewValueOf(d, a.dtype, a.shape...)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("%s: %s: %w: %w", a.name, slot, vm.ErrMemory, err), s.close())
			}
			a.slots[slot] = v
		}
	}
	return s, nil
}

func (s *state) close() error {
	var errs []error
	for _, a := range s.arrays {
		for _, v := range a.slots {
			errs = append(errs, v.Close())
		}
	}
	return errors.Join(errs...)
}

// openWeights opens a file or folder of weights, in the variant if there is one.
func openWeights(path, variant string) (*weights.Store, error) {
	if !weights.HasVariant(path, variant) {
		variant = ""
	}
	return weights.Open(path, weights.Options{Variant: variant})
}

// load fills a slot of some parameters from a file or folder of weights under their names, in the variant if there is
// one. The tensors are read one after the other, so that no second copy of the network is in memory.
func (s *state) load(path, variant string, arrays []*array, slot Slot, m weights.Mapping) (err error) {
	store, err := openWeights(path, variant)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	scope := op.NewScope("weights")
	for _, a := range arrays {
		scope.Param(a.name, a.shape...)
	}
	if err := scope.Err(); err != nil {
		return err
	}
	params := scope.Params()
	if err := store.Compare(params, m); err != nil {
		return err
	}
	m.Ignore = func(string) bool { return true }
	for i, p := range params {
		value, ok := arrays[i].slots[slot]
		if !ok {
			continue // another device has it
		}
		one := params[i : i+1]
		if err := store.Bind(one, m); err != nil {
			return err
		}
		if err := value.Write(p.Value().(*tensor.Dense).Float32s()); err != nil {
			return fmt.Errorf("%s: %s: %w", p.Name(), slot, err)
		}
		if err := store.Release(one); err != nil {
			return err
		}
	}
	return nil
}

// copy fills a slot of what is trained from another.
func (s *state) copy(dst, src Slot) error {
	for _, a := range s.trained() {
		values := make([]float32, op.Size(a.shape))
		if err := errors.Join(a.slots[src].Read(values), a.slots[dst].Write(values)); err != nil {
			return fmt.Errorf("%s: %s: %w", a.name, dst, err)
		}
	}
	return nil
}

// tensors returns the values of a slot under names made of the parameters', for saving.
func tensors(arrays []*array, slot Slot, name func(param string) string) ([]weights.Tensor, error) {
	list := make([]weights.Tensor, len(arrays))
	for i, a := range arrays {
		values := a.in(slot)
		if values == nil {
			return nil, fmt.Errorf("training keeps no %s", slot)
		}
		var err error
		if list[i], err = weights.FromValue(name(a.name), values); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// owned are the parameters that this device updates.
func (s *state) owned() []*array {
	return slices.DeleteFunc(s.trained(), func(a *array) bool { return a.slots[ExpAvg] == nil })
}

// bytes is the memory of a slot.
func (s *state) bytes(slot Slot) (n int64) {
	for _, a := range s.arrays {
		if v := a.slots[slot]; v != nil {
			n += int64(v.MemSize())
		}
	}
	return n
}

// trained are the parameters that training changes.
func (s *state) trained() []*array {
	return slices.DeleteFunc(slices.Clone(s.arrays), func(a *array) bool { return a.fixed })
}

// bind gives nodes, in the parameters' order, the memory of a slot.
func (s *state) bind(nodes gorgonia.Nodes, slot Slot) error { return bind(nodes, s.arrays, slot) }

// bind gives each node the memory of an array's slot.
func bind(nodes gorgonia.Nodes, arrays []*array, slot Slot) error {
	for i, n := range nodes {
		a := arrays[i]
		if !slices.Equal(n.Shape(), a.shape) {
			return fmt.Errorf("%s has shape %v, %s has %v", n.Name(), []int(n.Shape()), a.name, []int(a.shape))
		}
		if err := gorgonia.Let(n, a.in(slot)); err != nil {
			return fmt.Errorf("%s: %w", n.Name(), err)
		}
	}
	return nil
}

// Bind gives the parameters of another graph of the network the memory of a slot, so that a validation uses the current
// weights. The slot must not change while the graph's programs live.
func (t *Trainer) Bind(params gorgonia.Nodes, slot Slot) error {
	if len(params) != len(t.state.arrays) {
		return fmt.Errorf("a graph of %d parameters: the network has %d", len(params), len(t.state.arrays))
	}
	return t.state.bind(params, slot)
}
