package data

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed says that a Stream was closed.
var ErrClosed = errors.New("data: the stream is closed")

// Stream makes the batches of consecutive or evenly spaced steps ahead. It has goroutines of its own until Close.
type Stream struct {
	cancel  context.CancelFunc
	pending chan chan made // in order of their steps; as many as are made ahead
	group   sync.WaitGroup
}

type made struct {
	batch *Batch
	err   error
}

// Stream makes batches from a step on without end, until ctx ends or it is closed.
func (l *Loader) Stream(ctx context.Context, step int) *Stream { return l.StreamEvery(ctx, step, 1) }

// StreamEvery makes the batches of every so many steps only.
func (l *Loader) StreamEvery(ctx context.Context, step, every int) *Stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &Stream{cancel: cancel, pending: make(chan chan made, l.o.ReadAhead)}
	s.group.Go(func() {
		defer close(s.pending)
		for step := step; ; step += every { // each goroutine below has its own
			result := make(chan made, 1) // so that nobody has to wait for it
			select {
			case s.pending <- result:
			case <-ctx.Done():
				return
			}
			s.group.Go(func() {
				batch, err := l.Batch(ctx, step)
				result <- made{batch, err}
			})
		}
	})
	return s
}

// Next returns the next batch. After an error, which concerns only that batch, the next call continues with the
// following step. It is not safe for concurrent use.
func (s *Stream) Next(ctx context.Context) (*Batch, error) {
	select {
	case result, ok := <-s.pending:
		if !ok {
			return nil, ErrClosed
		}
		select {
		case m := <-result:
			return m.batch, m.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close stops the stream and waits for its goroutines.
func (s *Stream) Close() {
	s.cancel()
	s.group.Wait()
}
