// Package parallel makes independent calls at the same time.
package parallel

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// For calls f for 0 … n−1 on all processors and returns when all calls have.
func For(n int, f func(i int)) { run(n, runtime.GOMAXPROCS(0), f) }

// Ranges cuts [0,n) into ranges [from,to) of step or, for the last, fewer, and calls f for each as For does.
func Ranges(n, step int, f func(from, to int)) {
	For((n+step-1)/step, func(i int) { f(i*step, min((i+1)*step, n)) })
}

// Each calls f for 0 … n−1, at most workers at a time, until one fails or ctx ends. It returns the first error or the
// cause of ctx, after all calls have returned.
func Each(ctx context.Context, n, workers int, f func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run(n, workers, func(i int) {
		if ctx.Err() != nil {
			return
		}
		if err := f(i); err != nil {
			cancel(err) // the first stays the cause
		}
	})
	return context.Cause(ctx)
}

// Ahead calls use for what next returns, in its order, while next goes on: at most two values wait. It returns the
// first error of either, other than the io.EOF with which next ends, after both have returned.
func Ahead[T any](next func() (T, error), use func(T) error) error {
	values, failed := make(chan T, 1), make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		defer close(values)
		for {
			v, err := next()
			if err != nil {
				failed <- err
				return
			}
			select {
			case values <- v:
			case <-stop:
				failed <- io.EOF
				return
			}
		}
	}()
	var err error
	for v := range values {
		if err = use(v); err != nil {
			break
		}
	}
	close(stop)
	if made := <-failed; err == nil && !errors.Is(made, io.EOF) {
		err = made
	}
	return err
}

// run calls f from the calling goroutine and up to workers−1 others.
func run(n, workers int, f func(i int)) {
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	var others sync.WaitGroup
	for range min(n, workers) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
