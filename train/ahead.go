package train

import (
	"context"
	"fmt"
)

// ahead holds micro-steps that are drawn while a device with its own memory works on those before them. The order of
// draws, and with it every number, is the same as without it; checkpoints record the position before them.
type ahead struct {
	from  mark
	micro []drawn
	err   error
	done  chan struct{} // closed when micro and err are set
}

// at is the position of the next micro-step.
func (r *run) at() Position {
	if r.ahead != nil {
		return r.ahead.from.position
	}
	return r.position
}

// take returns the next micro-steps: one for each device, at most n, and no more than the epoch has left.
func (r *run) take(ctx context.Context, n int) ([]drawn, error) {
	if a := r.ahead; a != nil {
		<-a.done
		r.ahead = nil
		return a.micro, a.err
	}
	return r.drawn(ctx, n)
}

// drawAhead starts to draw what the next call of take returns. left counts the optimisation step's micro-steps that
// have not started; if there are none, or the epoch is over, the next step's are drawn.
func (r *run) drawAhead(ctx context.Context, left, epoch int) {
	if left == 0 || r.position.Epoch != epoch {
		if left = r.config.Accumulate; r.trainer.Step()+1 == r.config.MaxSteps {
			return
		}
	}
	if r.trainer.options.Device.HostMemory() {
		return // the processor is busy with the step
	}
	a := &ahead{from: r.here(), done: make(chan struct{})}
	r.ahead = a
	go func() {
		defer close(a.done)
		a.micro, a.err = r.drawn(ctx, left)
	}()
}

// settle waits for what is being drawn, so that nothing else uses the examples, the noise and the device meanwhile.
func (r *run) settle() {
	if r.ahead != nil {
		<-r.ahead.done
	}
}

// drawn draws the next micro-steps: see take.
func (r *run) drawn(ctx context.Context, n int) ([]drawn, error) {
	n = min(n, r.trainer.options.size())
	first := r.trainer.options.first()
	after := first + len(r.trainer.trainers())
	var list []drawn
	for epoch := r.position.Epoch; len(list) < n && r.position.Epoch == epoch; {
		d, err := r.draw(ctx, first <= len(list) && len(list) < after)
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
	mine    bool // it is for a device of this process; if not, only the example's shape may be known
}

// draw makes the next micro-step. If it is not for this process, its numbers are passed over, as far as the examples
// allow that.
func (r *run) draw(ctx context.Context, mine bool) (drawn, error) {
	if err := ctx.Err(); err != nil {
		return drawn{}, err
	}
	d := drawn{at: r.position, task: r.config.taskAt(r.position, r.tasks), mine: mine}
	example := r.Examples.Example
	if s, ok := r.Examples.(Skipper); ok && !mine {
		example = s.Skip
	}
	var err error
	if d.example, err = example(ctx, d.at, d.task, r.noise); err != nil {
		return d, fmt.Errorf("epoch %d, micro-step %d: %w", d.at.Epoch, d.at.Index, err)
	}
	if mine {
		d.draws, err = r.trainer.Draw(r.noise, d.example)
	} else {
		r.trainer.objective.skip(r.noise, d.example)
		d.example = Example{Shape: d.example.Shape}
	}
	if err != nil {
		return d, err
	}
	r.position = r.position.next(r.Examples.Len())
	return d, nil
}
