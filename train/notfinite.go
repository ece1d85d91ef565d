package train

import (
	"context"
	"errors"
	"fmt"
)

// notFiniteError is the error of a step whose loss or gradients aren't finite, with what it learnt from.
type notFiniteError struct {
	step   int
	title  string // of the last micro-step
	micro  []drawn
	reason error
}

// Error says where.
func (e *notFiniteError) Error() string {
	last := e.micro[len(e.micro)-1]
	return fmt.Sprintf("step %d (epoch %d, micro-step %d, %s): %v", e.step, last.at.Epoch, last.at.Index, e.title,
		e.reason)
}

// Unwrap returns the reason.
func (e *notFiniteError) Unwrap() error { return e.reason }

func (r *run) notFiniteError(micro []drawn, reason error) error {
	return &notFiniteError{r.trainer.Step() + 1, r.trainer.objective.title(micro[len(micro)-1].task), micro, reason}
}

// notFinite skips a step if Config.MaxSkipped allows it, or returns an error that names the first value that isn't
// finite.
func (r *run) notFinite(ctx context.Context, err error) error {
	r.trainer.Discard()
	if r.result.Skipped < r.config.MaxSkipped {
		r.result.Skipped++
		r.setMark()
		return r.Observe.Report(Skip{r.trainer.Step() + 1, err})
	}
	var bad *notFiniteError
	if errors.As(err, &bad) {
		for _, d := range bad.micro {
			if !d.mine {
				continue // the process that has it finds it
			}
			if traced := r.trainer.Trace(ctx, d.example, d.draws); traced != nil {
				err = fmt.Errorf("%w\nfirst in %w", err, traced)
				break
			}
		}
	}
	return err
}
