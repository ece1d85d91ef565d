// Package parallel runs calls that don't depend on each other, a few at a time.
package parallel

import (
	"context"
	"sync"
)

// Each calls work for 0 … n−1 in some order, at most workers at a time, until one fails or ctx ends. It returns when all calls
// have.
func Each(ctx context.Context, n, workers int, work func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var group sync.WaitGroup
	for range min(workers, n) {
		group.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := work(i); err != nil {
					cancel(err) // the first counts
				}
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}
