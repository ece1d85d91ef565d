package train

import (
	"context"
	"errors"
	"fmt"
)

// ahead are micro-steps that are drawn while the device works on the ones before them: where it has memory of its own the process has
// nothing else to do. They are drawn in the same order as without it, so that every number stays what it is, and a checkpoint notes where the
// run stood before them.
type ahead struct {
	from  mark
	micro []drawn
	err   error
	done  chan struct{} // closed when micro and err are there
}

// at is the position of the next micro-step.
func (r *run) at() Position {
	if r.ahead != nil {
		return r.ahead.from.position
	}
	return r.position
}

// take returns the next micro-steps: one for each device, but n at most, and what the epoch has left.
func (r *run) take(ctx context.Context, n int) ([]drawn, error) {
	if a := r.ahead; a != nil {
		<-a.done
		r.ahead = nil
		return a.micro, a.err
	}
	return r.drawn(ctx, n)
}

// drawAhead begins to draw what the next call of take returns. left is how many micro-steps the optimisation step has left behind those
// that are under way; with none, or when its epoch is over, it is the next step's.
func (r *run) drawAhead(ctx context.Context, left, epoch int) {
	if left == 0 || r.position.Epoch != epoch {
		if left = r.config.Accumulate; r.trainer.Step()+1 == r.config.MaxSteps {
			return
		}
	}
	if r.trainer.options.Device.HostMemory() {
		return // the processor is at work
	}
	a := &ahead{from: r.here(), done: make(chan struct{})}
	r.ahead = a
	go func() {
		defer close(a.done)
		a.micro, a.err = r.drawn(ctx, left)
	}()
}

// settle waits for what is being drawn, so that nothing else uses the examples, the noise and the device at the same time.
func (r *run) settle() {
	if r.ahead != nil {
		<-r.ahead.done
	}
}

// rewind forgets what was drawn ahead: it is drawn again. A step that is left out ends early, and the next one's first micro-steps are others.
func (r *run) rewind() error {
	a := r.ahead
	if a == nil {
		return nil
	}
	<-a.done
	r.ahead, r.position = nil, a.from.position
	return errors.Join(r.noise.SetState(a.from.generators.Noise), r.tasks.SetState(a.from.generators.Tasks))
}

// drawn makes the next micro-steps, one for each device, but n at most, and what the epoch has left.
func (r *run) drawn(ctx context.Context, n int) ([]drawn, error) {
	n = min(n, len(r.trainer.trainers()))
	var list []drawn
	for epoch := r.position.Epoch; len(list) < n && r.position.Epoch == epoch; {
		d, err := r.draw(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// drawn is an example with its draws and what it is for.
type drawn struct {
	example Example
	draws   Draws
	task    Task
	at      Position
}

// draw makes the next micro-step.
func (r *run) draw(ctx context.Context) (drawn, error) {
	if err := ctx.Err(); err != nil {
		return drawn{}, err
	}
	d := drawn{at: r.position, task: r.config.taskAt(r.position, r.tasks)}
	var err error
	if d.example, err = r.Examples.Example(ctx, d.at, d.task, r.noise); err != nil {
		return d, fmt.Errorf("epoch %d, micro-step %d: %w", d.at.Epoch, d.at.Index, err)
	}
	if d.draws, err = r.trainer.Draw(r.noise, d.example); err != nil {
		return d, err
	}
	r.position = r.position.next(r.Examples.Len())
	return d, nil
}
