package train

import (
	"context"
	"errors"
	"fmt"

	"github.com/histdist/histdist/graph/rng"
)

// FixedNoise makes a RunOptions.Validate of examples: their mean loss with the same noise and timesteps each time, of
// the parameters as validation/loss and of their moving average as validation/loss_ema.
func FixedNoise(examples []Example, seed int64) func(context.Context, *Trainer, int) ([]Scalar, error) {
	return func(ctx context.Context, t *Trainer, _ int) ([]Scalar, error) {
		if len(examples) == 0 {
			return nil, errors.New("no examples")
		}
		loss := Scalar{Name: "validation/loss"}
		average := Scalar{Name: "validation/loss_ema"}
		g := rng.NewTorch(seed)
		for i, e := range examples {
			d, err := t.Draw(g, e)
			if err != nil {
				return nil, err
			}
			for _, of := range []struct {
				slot Slot
				sum  *Scalar
			}{{Parameters, &loss}, {Averages, &average}} {
				if of.slot == Averages && !t.config.EMA {
					continue
				}
				x, err := t.Loss(ctx, e, d, of.slot)
				if err != nil {
					return nil, fmt.Errorf("example %d: %w", i, err)
				}
				of.sum.Value += x / float64(len(examples))
			}
		}
		if !t.config.EMA {
			return []Scalar{loss}, nil
		}
		return []Scalar{loss, average}, nil
	}
}

// evaluation is what a forward program is compiled for.
type evaluation struct {
	size size
	slot Slot
}

// Loss is the loss of an example under the parameters or their moving average. It changes nothing.
func (t *Trainer) Loss(ctx context.Context, e Example, d Draws, slot Slot) (float64, error) {
	m, feeds, err := t.prepare(ctx, e, d, func(z size) (*microStep, error) { return t.forward(evaluation{z, slot}) })
	if err != nil {
		return 0, err
	}
	out, err := m.Run(ctx, feeds)
	if err != nil {
		return 0, err
	}
	loss := float64(out[0].Float32s()[0])
	if !isFinite(loss) {
		return 0, fmt.Errorf("the loss is %g: %w", loss, ErrNotFinite)
	}
	return loss, nil
}

// forward returns the program of a loss, compiled when first needed.
func (t *Trainer) forward(v evaluation) (*microStep, error) {
	if m, ok := t.losses[v]; ok {
		return m, nil
	}
	l, err := t.build(v.size, 1, v.slot)
	if err != nil {
		return nil, err
	}
	m := &microStep{loss: l}
	if m.Program, err = t.compile(l.params(), l.values[:1], nil, false); err != nil {
		return nil, err
	}
	t.losses[v] = m
	return m, nil
}
