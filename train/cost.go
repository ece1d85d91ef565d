package train

import (
	"context"
	"errors"
	"time"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// Cost is what training takes. Bytes are the device's.
type Cost struct {
	Parameters int64 // numbers of the network, with its adapter
	Trained    int64 // those of them that are trained

	Weights, Gradients, Optimiser, Average int64 // bytes
	Activations                            int64 // bytes of the arenas: activations, the largest gradient, workspaces
	Packed                                 int64 // bytes of packed weights
	Guides                                 int64 // bytes of a frozen decoder and of programs that make targets

	FLOP int64         // of a step, averaged over the examples
	Step time.Duration // measured: its micro-steps, the norm and the update
}

// Memory is the sum of what is held at once.
func (c Cost) Memory() int64 {
	return c.Weights + c.Gradients + c.Optimiser + c.Average + c.Activations + c.Packed + c.Guides
}

// Parameters counts the network's parameters.
func (t *Trainer) Parameters() int64 { return count(t.state.arrays) }

// Trained counts those of the parameters that are trained.
func (t *Trainer) Trained() int64 { return count(t.state.trained()) }

func count(arrays []*array) (n int64) {
	for _, a := range arrays {
		n += int64(op.Size(a.shape))
	}
	return n
}

// Measure trains two steps with each of some examples, one of each kind that a run has, and closes the trainer.
func Measure(ctx context.Context, t *Trainer, examples []Example, draws []Draws) (_ Cost, err error) {
	defer func() { err = errors.Join(err, t.Close()) }()
	if len(examples) == 0 || len(examples) != len(draws) {
		return Cost{}, errors.New("training: measuring takes examples with their draws")
	}
	s := t.state
	p := Cost{
		Parameters: t.Parameters(), Trained: count(s.trained()), Weights: s.bytes(Parameters), Gradients: s.bytes(Gradients),
		Optimiser: s.bytes(ExpAvg) + s.bytes(ExpAvgSq), Average: s.bytes(Averages),
	}
	devices := t.options.size()
	each := (t.config.Accumulate + devices - 1) / devices // micro-steps of a device
	for i, e := range examples {
		for warm := range 2 { // the first run touches memory for the first time
			begin, flop := time.Now(), t.flop
			if _, err := t.Accumulate(ctx, e, draws[i]); err != nil {
				return p, err
			}
			micro := time.Since(begin)
			if _, err := t.Update(ctx); err != nil {
				return p, err
			}
			if warm == 1 {
				update := time.Since(begin) - micro
				p.Step += (time.Duration(each)*micro + update) / time.Duration(len(examples))
				p.FLOP += int64(t.config.Accumulate) * (t.flop - flop) / int64(len(examples))
			}
		}
	}
	for _, m := range t.micro {
		r := m.Report().Memory
		p.Activations += r.Arena
		p.Packed += r.Packed
		p.Guides += r.Copies // of a frozen decoder; the state is not copied
	}
	if g, ok := t.objective.(guiding); ok {
		for _, each := range g.programs() {
			r := each.Report().Memory
			p.Guides += r.Arena + r.Packed + r.Copies
		}
	}
	return p, nil
}

// Reports returns the reports of the trainer's programs: see Options.Profile.
func (t *Trainer) Reports() []vm.Report {
	var list []vm.Report
	for _, m := range t.micro {
		list = append(list, m.Report())
	}
	return append(list, t.norm.Report(), t.update.Report())
}
